//! Passwords: how strong they must be, and how they are hashed and verified. The home of argon2 and zxcvbn.
//!
//! Hashing is slow and needs a lot of memory on purpose; where and how often at once it may run is decided by the
//! caller, who also brings the salt.

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

use super::fields::FieldError;
use super::user::PasswordHash;

/// Longest password, in characters (spec §2.5).
pub const PASSWORD_CHARS_MAX: usize = 128;
/// Characters that the strength check looks at: its cost grows faster than the length (spec §2.5).
pub const STRENGTH_CHARS_MAX: usize = 72;
/// Length of a salt, in bytes.
pub const SALT_BYTES: usize = 16;
/// The most that a stored hash may ask for (256 MiB): more is damage or an attack, not a setting.
pub const MEMORY_KIB_MAX: u32 = 256 * 1024;
pub const ITERATIONS_MAX: u32 = 64;
pub const PARALLELISM_MAX: u32 = 64;

const OUTPUT_BYTES: usize = 32;
const ATTR: &str = "password";

/// The cost of one hash (RFC 9106 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashParameters {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

/// Why no hash was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error(
        "unusable argon2 parameters: 8 KiB of memory for each lane at least, 256 MiB, 64 passes and 64 lanes at most"
    )]
    Parameters,
    #[error("the hash function failed")]
    Failed,
}

/// The working memory of one hash at a time. Kept and used again, because getting fresh pages from the system is up to
/// half the cost of a hash. It is not wiped in between: who can read it can read the passwords as they arrive.
pub struct HashMemory {
    blocks: Vec<Block>,
}

impl HashMemory {
    /// Memory for hashes of these parameters.
    #[must_use]
    pub fn new(parameters: HashParameters) -> Self {
        let mut memory = Self { blocks: Vec::new() };
        if let Ok(parameters) = parameters.to_argon2() {
            memory.grow(&parameters);
        }
        memory
    }

    fn grow(&mut self, parameters: &Params) {
        if self.blocks.len() < parameters.block_count() {
            self.blocks.resize(parameters.block_count(), Block::new());
        }
    }
}

impl std::fmt::Debug for HashMemory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "[hash memory of {} KiB]", self.blocks.len())
    }
}

/// Hashes with Argon2id into a PHC string: `$argon2id$v=19$m=..,t=..,p=..$salt$hash`.
pub fn hash_password(
    parameters: HashParameters,
    memory: &mut HashMemory,
    password: &str,
    salt: [u8; SALT_BYTES],
) -> Result<PasswordHash, HashError> {
    let parameters = parameters.to_argon2()?;
    let mut output = [0; OUTPUT_BYTES];
    compute(Algorithm::Argon2id, Version::V0x13, &parameters, memory, password, &salt, &mut output)?;
    let phc = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: phc::ParamsString::try_from(&parameters).map_err(|_| HashError::Failed)?,
        salt: Some(phc::Salt::new(&salt).map_err(|_| HashError::Failed)?),
        hash: Some(phc::Output::new(&output).map_err(|_| HashError::Failed)?),
    };
    Ok(PasswordHash(phc.to_string()))
}

/// Whether this is the password of the hash, compared in constant time. The parameters are those in the hash; the
/// memory grows when they need more. A text that is not an Argon2 hash, or asks for more than the limits, matches
/// nothing.
#[must_use]
pub fn verify_password(hash: &PasswordHash, memory: &mut HashMemory, password: &str) -> bool {
    let Some(stored) = Stored::parse(hash) else { return false };
    let mut output = vec![0; stored.output.len()];
    let Stored { algorithm, version, parameters, salt, output: expected } = &stored;
    compute(*algorithm, *version, parameters, memory, password, salt, &mut output).is_ok()
        && output.ct_eq(expected).into()
}

/// Whether the hash was made in another way than [`hash_password`] would make it today with `parameters`; to be asked
/// after the password was verified, when it is at hand.
#[must_use]
pub fn needs_rehash(hash: &PasswordHash, parameters: HashParameters) -> bool {
    Stored::parse(hash).is_none_or(|stored| {
        stored.algorithm != Algorithm::Argon2id
            || stored.version != Version::V0x13
            || stored.output.len() != OUTPUT_BYTES
            || HashParameters::from(&stored.parameters) != parameters
    })
}

impl HashParameters {
    fn to_argon2(self) -> Result<Params, HashError> {
        if self.memory_kib > MEMORY_KIB_MAX || self.iterations > ITERATIONS_MAX || self.parallelism > PARALLELISM_MAX {
            return Err(HashError::Parameters);
        }
        Params::new(self.memory_kib, self.iterations, self.parallelism, Some(OUTPUT_BYTES))
            .map_err(|_| HashError::Parameters)
    }

    /// Whether hashes can be made with these parameters.
    pub fn check(self) -> Result<(), HashError> {
        self.to_argon2().map(drop)
    }
}

impl From<&Params> for HashParameters {
    fn from(parameters: &Params) -> Self {
        Self { memory_kib: parameters.m_cost(), iterations: parameters.t_cost(), parallelism: parameters.p_cost() }
    }
}

/// A PHC string taken apart.
struct Stored {
    algorithm: Algorithm,
    version: Version,
    parameters: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Stored {
    fn parse(hash: &PasswordHash) -> Option<Self> {
        let phc = phc::PasswordHash::new(&hash.0).ok()?;
        let parameters = Params::try_from(&phc).ok()?;
        let limits = HashParameters::from(&parameters);
        if limits.memory_kib > MEMORY_KIB_MAX
            || limits.iterations > ITERATIONS_MAX
            || limits.parallelism > PARALLELISM_MAX
        {
            return None;
        }
        Some(Self {
            algorithm: Algorithm::new(phc.algorithm.as_str()).ok()?,
            version: phc.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?,
            parameters,
            salt: phc.salt?.as_ref().to_vec(),
            output: phc.hash?.as_bytes().to_vec(),
        })
    }
}

fn compute(
    algorithm: Algorithm,
    version: Version,
    parameters: &Params,
    memory: &mut HashMemory,
    password: &str,
    salt: &[u8],
    output: &mut [u8],
) -> Result<(), HashError> {
    memory.grow(parameters);
    Argon2::new(algorithm, version, parameters.clone())
        .hash_password_into_with_memory(password.as_bytes(), salt, output, &mut memory.blocks)
        .map_err(|_| HashError::Failed)
}

/// Why a password is refused (spec §2.5). Which code that is depends on where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordProblem {
    pub kind: PasswordProblemKind,
    /// A sentence for the person who chose it.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordProblemKind {
    TooShort,
    TooWeak,
    TooLong,
}

impl PasswordProblem {
    /// As a change of the profile and a reset answer.
    #[must_use]
    pub fn at_change(self) -> FieldError {
        let code = match self.kind {
            PasswordProblemKind::TooShort | PasswordProblemKind::TooWeak => "invalid_input",
            PasswordProblemKind::TooLong => "max_length",
        };
        FieldError::new(code, self.detail, ATTR)
    }
}

/// Whether a password may be chosen: long enough, not too long, and a zxcvbn score of at least 3, for which the words
/// in `user_inputs` (address, names) count as known to everybody.
///
/// Takes a few milliseconds, but up to half a second for a text made of nothing but look-alikes of letters
/// (`4@8({[<`): it belongs where hashes are made, not among the requests.
pub fn check_password(password: &str, min_length: usize, user_inputs: &[&str]) -> Result<(), PasswordProblem> {
    let length = password.chars().count();
    if length < min_length {
        let detail = format!("This password is too short. It must contain at least {min_length} characters.");
        return Err(PasswordProblem { kind: PasswordProblemKind::TooShort, detail });
    }
    if length > PASSWORD_CHARS_MAX {
        let detail = format!("Ensure this field has no more than {PASSWORD_CHARS_MAX} characters.");
        return Err(PasswordProblem { kind: PasswordProblemKind::TooLong, detail });
    }
    let start: String = password.chars().take(STRENGTH_CHARS_MAX).collect();
    let known: Vec<&str> = user_inputs.iter().copied().filter(|input| !input.is_empty()).collect();
    let strength = zxcvbn::zxcvbn(&start, &known);
    if strength.score() >= zxcvbn::Score::Three {
        return Ok(());
    }
    let suggestions = strength.feedback().map(zxcvbn::feedback::Feedback::suggestions).unwrap_or_default();
    let detail = if suggestions.is_empty() {
        "This password is too weak.".to_owned()
    } else {
        suggestions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    Err(PasswordProblem { kind: PasswordProblemKind::TooWeak, detail })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHEAP: HashParameters = HashParameters { memory_kib: 32, iterations: 1, parallelism: 1 };

    fn hash(parameters: HashParameters, password: &str, salt: u8) -> PasswordHash {
        hash_password(parameters, &mut HashMemory::new(parameters), password, [salt; SALT_BYTES]).unwrap()
    }

    #[test]
    fn a_hash_is_a_phc_string_that_verifies() {
        let made = hash(CHEAP, "correct horse", 7);
        assert!(made.0.starts_with("$argon2id$v=19$m=32,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{}", made.0);
        let mut memory = HashMemory::new(CHEAP);
        assert!(verify_password(&made, &mut memory, "correct horse"));
        assert!(!verify_password(&made, &mut memory, "correct horse "));
        assert!(!verify_password(&made, &mut memory, ""));
        assert_eq!(made, hash(CHEAP, "correct horse", 7));
        assert_ne!(made, hash(CHEAP, "correct horse", 8));
    }

    #[test]
    fn memory_is_used_again_and_grows_for_other_parameters() {
        let larger = HashParameters { memory_kib: 128, iterations: 2, parallelism: 2 };
        let mut memory = HashMemory::new(CHEAP);
        for _ in 0..2 {
            assert!(verify_password(&hash(larger, "a", 1), &mut memory, "a"));
            assert!(verify_password(&hash(CHEAP, "b", 1), &mut memory, "b"));
        }
    }

    /// Made by the reference implementation (`argon2 somesalt -id -t 2 -k 256 -p 1 -l 32`), for `password`.
    #[test]
    fn hashes_of_other_programs_verify() {
        let foreign = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let foreign = PasswordHash(foreign.to_owned());
        let mut memory = HashMemory::new(CHEAP);
        assert!(verify_password(&foreign, &mut memory, "password"));
        assert!(!verify_password(&foreign, &mut memory, "Password"));
        assert!(needs_rehash(&foreign, CHEAP));
    }

    #[test]
    fn what_is_no_sane_hash_matches_nothing() {
        let good = hash(CHEAP, "", 1).0;
        let mut memory = HashMemory::new(CHEAP);
        for text in [
            String::new(),
            "!".to_owned(),
            "pbkdf2_sha256$1000$salt$hash".to_owned(),
            good.replace("m=32", "m=4194304"),
            good.replace("t=1", "t=4294967295"),
            good.replace("p=1", "p=0"),
            good.replace("v=19", "v=20"),
            good.replace("argon2id", "argon2x"),
            good.rsplit_once('$').unwrap().0.to_owned(),
        ] {
            let hash = PasswordHash(text.clone());
            assert!(!verify_password(&hash, &mut memory, ""), "{text}");
            assert!(needs_rehash(&hash, CHEAP), "{text}");
        }
        assert!(memory.blocks.len() < 1024);
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        for parameters in [
            HashParameters { memory_kib: 7, ..CHEAP },
            HashParameters { iterations: 0, ..CHEAP },
            HashParameters { parallelism: 0, ..CHEAP },
            HashParameters { parallelism: 5, ..CHEAP },
            HashParameters { memory_kib: MEMORY_KIB_MAX + 1, ..CHEAP },
            HashParameters { iterations: ITERATIONS_MAX + 1, ..CHEAP },
        ] {
            assert_eq!(parameters.check(), Err(HashError::Parameters), "{parameters:?}");
            let made = hash_password(parameters, &mut HashMemory::new(parameters), "a", [0; SALT_BYTES]);
            assert_eq!(made, Err(HashError::Parameters), "{parameters:?}");
        }
    }

    #[test]
    fn hashes_made_another_way_are_due_again() {
        let made = hash(CHEAP, "a", 1);
        assert!(!needs_rehash(&made, CHEAP));
        for other in [
            HashParameters { memory_kib: 64, ..CHEAP },
            HashParameters { iterations: 2, ..CHEAP },
            HashParameters { parallelism: 2, ..CHEAP },
        ] {
            assert!(needs_rehash(&made, other), "{other:?}");
        }
        for (ours, other) in [("argon2id", "argon2i"), ("v=19", "v=16")] {
            assert!(needs_rehash(&PasswordHash(made.0.replace(ours, other)), CHEAP), "{other}");
        }
    }

    #[test]
    fn a_password_of_any_content_can_be_hashed() {
        for password in ["a\0b", "🔑🔑🔑🔑", &"\u{10ffff}".repeat(PASSWORD_CHARS_MAX)] {
            assert!(verify_password(&hash(CHEAP, password, 3), &mut HashMemory::new(CHEAP), password));
        }
    }

    #[test]
    fn weak_passwords_get_the_suggestions_of_the_reference() {
        const WORDS: &str = "Add another word or two. Uncommon words are better.";
        for (password, detail) in [
            ("password", WORDS.to_owned()),
            ("12345678", WORDS.to_owned()),
            ("test test test", format!("{WORDS} Avoid repeated words and characters.")),
        ] {
            let problem = check_password(password, 8, &[]).unwrap_err();
            assert_eq!(problem, PasswordProblem { kind: PasswordProblemKind::TooWeak, detail }, "{password}");
        }
        assert_eq!(check_password("lorry-cinnamon-9-quartz", 8, &[]), Ok(()));
        let strong_too_late = "a".repeat(STRENGTH_CHARS_MAX) + "lorry-cinnamon-9-quartz";
        assert!(check_password(&strong_too_late, 8, &[]).is_err());
    }

    #[test]
    fn length_comes_first_and_counts_characters() {
        let short = check_password("short", 8, &[]).unwrap_err();
        assert_eq!(short.kind, PasswordProblemKind::TooShort);
        assert_eq!(short.detail, "This password is too short. It must contain at least 8 characters.");
        assert_eq!(check_password("äöüßéèê", 8, &[]).unwrap_err().kind, PasswordProblemKind::TooShort);
        let long = "lorry-cinnamon-9-quartz ".repeat(8);
        assert_eq!(check_password(&long[..128], 8, &[]), Ok(()));
        let too_long = check_password(&long[..129], 8, &[]).unwrap_err();
        assert_eq!(too_long.kind, PasswordProblemKind::TooLong);
        assert_eq!(too_long.detail, "Ensure this field has no more than 128 characters.");
    }

    #[test]
    fn what_is_known_of_the_user_is_weak() {
        assert_eq!(check_password("qxvrntplakwdz", 8, &[""]), Ok(()));
        let known = ["", "qxvrntplakwdz"];
        assert_eq!(check_password("qxvrntplakwdz", 8, &known).unwrap_err().kind, PasswordProblemKind::TooWeak);
    }

    #[test]
    fn the_code_depends_on_what_is_wrong_with_the_password() {
        for (kind, at_change) in [
            (PasswordProblemKind::TooShort, "invalid_input"),
            (PasswordProblemKind::TooWeak, "invalid_input"),
            (PasswordProblemKind::TooLong, "max_length"),
        ] {
            let problem = PasswordProblem { kind, detail: "d".to_owned() };
            assert_eq!(problem.at_change(), FieldError::new(at_change, "d", "password"));
        }
    }

    proptest! {
        #[test]
        fn any_password_can_be_checked(password: String, known: String) {
            let _ = check_password(&password, 0, &[&known]);
        }

        #[test]
        fn any_text_can_be_taken_for_a_hash(text in "\\PC*|\\$argon2id\\$v=19\\$m=[0-9]{1,3},t=[0-9],p=[0-9]\\$[a-zA-Z0-9+/]{0,9}\\$[a-z]{0,9}") {
            let hash = PasswordHash(text);
            let _ = (verify_password(&hash, &mut HashMemory::new(CHEAP), "a"), needs_rehash(&hash, CHEAP));
        }

        #[test]
        fn only_the_password_verifies(password: String, other: String, salt: [u8; SALT_BYTES]) {
            let mut memory = HashMemory::new(CHEAP);
            let hash = hash_password(CHEAP, &mut memory, &password, salt).unwrap();
            prop_assert!(verify_password(&hash, &mut memory, &password));
            prop_assert_eq!(verify_password(&hash, &mut memory, &other), password == other);
        }
    }
}
