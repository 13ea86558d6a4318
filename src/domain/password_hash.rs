//! Hashes of passwords: how they are made, and how they are verified, those of other programs included
//! ([`foreign_hash`](super::foreign_hash)). The home of argon2.
//!
//! Hashing is slow and needs a lot of memory on purpose; where and how often at once it may run is decided by the
//! caller, who also brings the salt.

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

use super::foreign_hash::ForeignHash;
use super::user::PasswordHash;

/// Length of a salt, in bytes.
pub const SALT_BYTES: usize = 16;
/// The most that a stored hash may ask for (256 MiB): more is damage or an attack, not a setting.
pub const MEMORY_KIB_MAX: u32 = 256 * 1024;
pub const ITERATIONS_MAX: u32 = 64;
pub const PARALLELISM_MAX: u32 = 64;
/// The most memory written in all passes together (4 GiB): a few seconds on a slow core.
pub const WORK_KIB_MAX: u64 = 4 * 1024 * 1024;
/// Longest text of a hash from another program, in bytes.
const TEXT_BYTES_MAX: usize = 512;

const OUTPUT_BYTES: usize = 32;

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
        "unusable argon2 parameters: 8 KiB of memory for each lane at least, 256 MiB, 64 passes, 64 lanes and 4 GiB in all \
         passes at most"
    )]
    Parameters,
    #[error("the hash function failed")]
    Failed,
}

/// The working memory of one hash at a time. Kept and used again, because getting fresh pages from the system is up to
/// half the cost of a hash. It is not wiped in between: who can read it can read the passwords as they arrive.
pub struct HashMemory {
    blocks: Vec<Block>,
    /// How many of them are kept: what a hash of another program needed beyond is given back after it.
    kept: usize,
}

impl HashMemory {
    /// Memory for hashes of these parameters.
    #[must_use]
    pub fn new(parameters: HashParameters) -> Self {
        let mut memory = Self { blocks: Vec::new(), kept: 0 };
        if let Ok(parameters) = parameters.to_argon2() {
            memory.grow(&parameters);
        }
        memory.kept = memory.blocks.len();
        memory
    }

    fn grow(&mut self, parameters: &Params) {
        if self.blocks.len() < parameters.block_count() {
            self.blocks.resize(parameters.block_count(), Block::new());
        }
    }

    fn shrink(&mut self) {
        if self.blocks.len() > self.kept {
            self.blocks.truncate(self.kept);
            self.blocks.shrink_to_fit();
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
/// memory grows for it when they need more. A text that is no hash, or asks for more than the limits, matches nothing.
#[must_use]
pub fn verify_password(hash: &PasswordHash, memory: &mut HashMemory, password: &str) -> bool {
    let Some(stored) = Stored::parse(hash) else {
        return ForeignHash::parse(&hash.0).is_some_and(|foreign| foreign.verify(password));
    };
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

/// Why the hash of another program cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignHashError {
    #[error("a password hash of a kind that is not supported")]
    Unknown,
    #[error("a password hash that is damaged or asks for more work than is allowed")]
    Unusable,
}

/// Takes over a hash as Django writes one. `None` when it says that no password can be used (empty, or begins with
/// `!`). What is returned verifies, as far as one can tell without the password.
pub fn import_hash(text: &str) -> Result<Option<PasswordHash>, ForeignHashError> {
    if text.is_empty() || text.starts_with('!') {
        return Ok(None);
    }
    let algorithm = text.split('$').next().unwrap_or_default();
    if !matches!(algorithm, "argon2" | "pbkdf2_sha256" | "bcrypt_sha256" | "bcrypt" | "scrypt") {
        return Err(ForeignHashError::Unknown);
    }
    let hash = PasswordHash(text.strip_prefix("argon2").unwrap_or(text).to_owned());
    let is_usable = Stored::parse(&hash).is_some() || ForeignHash::parse(&hash.0).is_some();
    (is_usable && text.len() <= TEXT_BYTES_MAX).then_some(Some(hash)).ok_or(ForeignHashError::Unusable)
}

/// The other way: a hash as Django reads it.
#[must_use]
pub fn export_hash(hash: &PasswordHash) -> String {
    if hash.0.starts_with('$') { format!("argon2{}", hash.0) } else { hash.0.clone() }
}

impl HashParameters {
    fn is_within_limits(self) -> bool {
        self.memory_kib <= MEMORY_KIB_MAX
            && self.iterations <= ITERATIONS_MAX
            && self.parallelism <= PARALLELISM_MAX
            && u64::from(self.memory_kib) * u64::from(self.iterations) <= WORK_KIB_MAX
    }

    fn to_argon2(self) -> Result<Params, HashError> {
        if !self.is_within_limits() {
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
        if !HashParameters::from(&parameters).is_within_limits() {
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
    let computed = Argon2::new(algorithm, version, parameters.clone())
        .hash_password_into_with_memory(password.as_bytes(), salt, output, &mut memory.blocks)
        .map_err(|_| HashError::Failed);
    memory.shrink();
    computed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::password::PASSWORD_CHARS_MAX;
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
    fn memory_is_used_again_and_grows_for_other_parameters_while_they_are_needed() {
        let larger = HashParameters { memory_kib: 128, iterations: 2, parallelism: 2 };
        let mut memory = HashMemory::new(CHEAP);
        for _ in 0..2 {
            assert!(verify_password(&hash(larger, "a", 1), &mut memory, "a"));
            assert_eq!(memory.blocks.len(), 32);
            assert!(verify_password(&hash(CHEAP, "b", 1), &mut memory, "b"));
        }
    }

    /// Made by Django 5.2 with its defaults, and as it wrote them over the years.
    #[test]
    fn argon2_hashes_of_django_are_taken_over() {
        for text in [
            "argon2$argon2id$v=19$m=102400,t=2,p=8$amE4RnpaTFJRVVBpbGlvdDRTa1RiNw$uQV3B5VFfg8HrPvieZrWQPop0O0k/qcxQmAq1VLGv1M",
            "argon2$argon2id$v=19$m=64,t=1,p=2$c0x2WlpTMUR3RjBKa1BFakpjcFNjdA$37KrE3hTkLC2NS8SdIpx/KMotz8f07FsdOm2Y1DCOdA",
            "argon2$argon2i$v=19$m=512,t=2,p=2$b2xkc2FsdG9mZGphbmdvMQ$hit3bDl8INiJWlZSvXoXtQ",
            "argon2$argon2d$v=19$m=512,t=2,p=2$b2xkc2FsdG9mZGphbmdvMQ$+XGMxxEDVsjlIMNt+J0CqQ",
            "argon2$argon2i$v=16$m=512,t=2,p=2$b2xkc2FsdG9mZGphbmdvMQ$OzdHkFkAhIeEQ1tNrwtKeQ",
        ] {
            let hash = import_hash(text).unwrap().unwrap();
            let mut memory = HashMemory::new(CHEAP);
            assert!(verify_password(&hash, &mut memory, "correct horse battery staple 7"), "{text}");
            assert!(!verify_password(&hash, &mut memory, "correct horse battery staple 8"), "{text}");
            assert!(needs_rehash(&hash, CHEAP), "{text}");
            assert_eq!(export_hash(&hash), text);
        }
    }

    #[test]
    fn other_hashes_of_django_are_taken_over_as_they_are_or_not_at_all() {
        let pbkdf2 = "pbkdf2_sha256$1000$q7koZUBJVwT0t3zNyHhwvu$fFywlaDNZ5V5vfChAj6agaqwS8oED1Ag2I8GG1lBmX8=";
        let hash = import_hash(pbkdf2).unwrap().unwrap();
        assert!(verify_password(&hash, &mut HashMemory::new(CHEAP), "correct horse battery staple 7"));
        assert!(needs_rehash(&hash, CHEAP));
        assert_eq!(export_hash(&hash), pbkdf2);
        for text in ["", "!", "!pZvmQINW1lpI1i7jwxPvoDti1z7UweajZDZXrN2F"] {
            assert_eq!(import_hash(text), Ok(None));
        }
        let ours = hash_password(CHEAP, &mut HashMemory::new(CHEAP), "a", [1; SALT_BYTES]).unwrap();
        assert_eq!(import_hash(&export_hash(&ours)), Ok(Some(ours.clone())));
        for (text, error) in [
            ("md5$salt$0123456789abcdef", ForeignHashError::Unknown),
            ("plain text", ForeignHashError::Unknown),
            (ours.0.as_str(), ForeignHashError::Unknown),
            (
                "argon2$argon2id$v=19$m=4194304,t=2,p=8$amE4RnpaTFJRVVBpbGlvdDRTa1RiNw$uQV3B5VFfg8HrPvi",
                ForeignHashError::Unusable,
            ),
            (
                "argon2$argon2id$v=19$m=262144,t=64,p=8$amE4RnpaTFJRVVBpbGlvdDRTa1RiNw$uQV3B5VFfg8HrPvi",
                ForeignHashError::Unusable,
            ),
            ("pbkdf2_sha256$1000$q7koZUBJVwT0t3zNyHhwvu", ForeignHashError::Unusable),
        ] {
            assert_eq!(import_hash(text), Err(error), "{text}");
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

    proptest! {
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
