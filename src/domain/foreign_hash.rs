//! Hashes of passwords as Django writes them, `<algorithm>$<parameters>$<salt>$<hash>`: verified, never made. The home
//! of pbkdf2, scrypt and bcrypt.
//!
//! Django's Argon2 hashes are not among them: behind their first word they are PHC strings, and kept as such.
//!
//! Whoever writes the file that is imported chooses the cost of a hash, and the server pays it at a login. So each has
//! limits, some times what Django asks for today: some 256 MiB at most, and a few seconds on a slow core.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bcrypt::HashParts;
use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::text;
use super::vault::sha256;

/// Most rounds of PBKDF2.
pub const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
/// Highest cost of bcrypt: the logarithm of its rounds.
pub const BCRYPT_COST_MAX: u32 = 15;
/// Most blocks of 128 bytes that scrypt may fill, `N * r` (256 MiB), and mix, `N * r * p`.
pub const SCRYPT_BLOCKS_MAX: u64 = 1 << 21;
pub const SCRYPT_WORK_MAX: u64 = 1 << 23;
/// Most blocks that its lanes may hold besides, `r * p` (8 MiB).
pub const SCRYPT_LANE_BLOCKS_MAX: u64 = 1 << 16;

const PBKDF2_BYTES: usize = 32;
const SCRYPT_BYTES: usize = 64;

/// A hash taken apart; its parameters are within the limits.
pub enum ForeignHash<'a> {
    /// `pbkdf2_sha256$ROUNDS$SALT$BASE64`
    Pbkdf2 { rounds: u32, salt: &'a str, hash: [u8; PBKDF2_BYTES] },
    /// `bcrypt_sha256$$2b$COST$...`, which hashes the SHA-256 of the password in hexadecimal, and `bcrypt$$2b$...`.
    Bcrypt { parts: HashParts, text: &'a str, of_sha256: bool },
    /// `scrypt$N$SALT$R$P$BASE64`
    Scrypt { parameters: scrypt::Params, salt: &'a str, hash: [u8; SCRYPT_BYTES] },
}

impl<'a> ForeignHash<'a> {
    /// Takes a hash apart. `None` when it is none of these, damaged, or asks for more than the limits.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (algorithm, rest) = text.split_once('$')?;
        match algorithm {
            "pbkdf2_sha256" => Self::parse_pbkdf2(rest),
            "bcrypt_sha256" => Self::parse_bcrypt(rest, true),
            "bcrypt" => Self::parse_bcrypt(rest, false),
            "scrypt" => Self::parse_scrypt(rest),
            _ => None,
        }
    }

    fn parse_pbkdf2(text: &'a str) -> Option<Self> {
        let [rounds, salt, hash] = fields(text)?;
        let rounds = number(rounds).filter(|rounds| (1..=PBKDF2_ROUNDS_MAX).contains(rounds))?;
        Some(Self::Pbkdf2 { rounds, salt, hash: bytes(hash)? })
    }

    fn parse_bcrypt(text: &'a str, of_sha256: bool) -> Option<Self> {
        let parts: HashParts = text.parse().ok()?;
        let cost = parts.get_cost();
        (4..=BCRYPT_COST_MAX).contains(&cost).then_some(Self::Bcrypt { parts, text, of_sha256 })
    }

    fn parse_scrypt(text: &'a str) -> Option<Self> {
        let [n, salt, r, p, hash] = fields(text)?;
        let (n, r, p) = (number(n)?, number(r)?, number(p)?);
        let blocks = u64::from(n).checked_mul(u64::from(r))?;
        let work = blocks.checked_mul(u64::from(p))?;
        if n < 2 || !n.is_power_of_two() || blocks > SCRYPT_BLOCKS_MAX || work > SCRYPT_WORK_MAX {
            return None;
        }
        if u64::from(r) * u64::from(p) > SCRYPT_LANE_BLOCKS_MAX {
            return None;
        }
        let parameters = scrypt::Params::new(u8::try_from(n.ilog2()).ok()?, r, p).ok()?;
        Some(Self::Scrypt { parameters, salt, hash: bytes(hash)? })
    }

    /// Whether this is the password, compared in constant time.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        match self {
            Self::Pbkdf2 { rounds, salt, hash } => {
                let mut output = [0; PBKDF2_BYTES];
                pbkdf2_hmac::<Sha256>(password.as_bytes(), salt.as_bytes(), *rounds, &mut output);
                output.ct_eq(hash).into()
            }
            Self::Bcrypt { text, of_sha256: true, .. } => {
                let digest = Zeroizing::new(text::hex(&sha256(password.as_bytes())));
                bcrypt::verify(digest.as_bytes(), text).unwrap_or(false)
            }
            Self::Bcrypt { text, of_sha256: false, .. } => bcrypt::verify(password, text).unwrap_or(false),
            Self::Scrypt { parameters, salt, hash } => {
                let mut output = [0; SCRYPT_BYTES];
                scrypt::scrypt(password.as_bytes(), salt.as_bytes(), parameters, &mut output).is_ok()
                    && output.ct_eq(hash).into()
            }
        }
    }
}

/// So many texts between dollar signs, no more and no fewer.
fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('$').collect::<Vec<_>>().try_into().ok()
}

/// Decimal digits only.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn bytes<const N: usize>(base64: &str) -> Option<[u8; N]> {
    BASE64_STANDARD.decode(base64).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "correct horse battery staple 7";
    /// Of [`PASSWORD`], made by Django 5.2: each algorithm as cheap as it gets, and with the defaults.
    const GOLDEN: [&str; 8] = [
        "pbkdf2_sha256$1000$q7koZUBJVwT0t3zNyHhwvu$fFywlaDNZ5V5vfChAj6agaqwS8oED1Ag2I8GG1lBmX8=",
        "bcrypt_sha256$$2b$04$Yi9CQ.4p8M1TZNUEt5Dwe.Z618voYDfHYv/Gl8J78K8uFh8QV/ULy",
        "bcrypt$$2b$04$VUGjLrYqOqP/2oUy54oKUu7ey5TYTS2eNar6nTm9l8F47xnqQ0NP6",
        "scrypt$16$t29eB30YjcIM7TtXhaVNdw$8$1$KUFY135I39mOvsAXfpS0CFDZk0W6/5u3vw9NzlEQUoHa9ca0yafjRe1ZE055xlWgP4qZCP1ZE9dyP9HD4mg57g==",
        "pbkdf2_sha256$1000000$HF13oiq3poJlufHovFyYQ4$nbBKnt17U8b4O9m7bid5nwBfRtnescleULEkPin7Ikc=",
        "bcrypt_sha256$$2b$12$EPsi9QhTjL5QfzHd1c57Fu7vmIJW99FKXo5JaAlcz3YN3F0MS4noO",
        "bcrypt$$2b$12$M8g08kjAsLLWtKoEUBtwhOPpn0N1isOEUKaAiPhm0BYp/harArh5i",
        "scrypt$16384$6J9ieXbvOjYAR0fakvoq3F$8$5$xGCT34JdPi26rdAi+TcUnhUmnotr6LzNT2lxHc7wirdzdu6hjY/JvKwGQ02WMg9/7hAETRduAq6lwVvATfWsIg==",
    ];

    fn verify(hash: &str, password: &str) -> bool {
        ForeignHash::parse(hash).is_some_and(|hash| hash.verify(password))
    }

    #[test]
    fn hashes_of_django_verify() {
        for (place, hash) in GOLDEN.into_iter().enumerate() {
            assert!(verify(hash, PASSWORD), "{hash}");
            assert!(place >= 4 || !verify(hash, "correct horse battery staple 8"), "{hash}");
        }
        let not_ascii = "pbkdf2_sha256$1000$58iUlnbrnjI6BpEMa34DbJ$dpimsmp4qy6V9NXXCxBTUJO1SH9+2aoATl6wUtHucDs=";
        assert!(verify(not_ascii, "pässwörd 🔑"));
    }

    #[test]
    fn what_is_damaged_or_costs_too_much_is_no_hash() {
        let [pbkdf2, bcrypt, _, scrypt, ..] = GOLDEN;
        for text in [
            String::new(),
            "!".to_owned(),
            "md5$salt$0123456789abcdef0123456789abcdef".to_owned(),
            pbkdf2.replace("1000", "0"),
            pbkdf2.replace("1000", "+1000"),
            pbkdf2.replace("1000", "10000001"),
            pbkdf2.replace("1000", "99999999999"),
            pbkdf2.replace("sha256", "sha1"),
            pbkdf2.replace("BmX8=", "Bm"),
            pbkdf2.replace('=', "=$"),
            bcrypt.replace("$04$", "$16$"),
            bcrypt.replace("$04$", "$03$"),
            bcrypt.replace("$2b", "$2c"),
            bcrypt.replace("ULy", "UL"),
            bcrypt.replace("ULy", "Uü"),
            scrypt.replace("$16$", "$15$"),
            scrypt.replace("$16$", "$1$"),
            scrypt.replace("$16$", "$524288$"),
            scrypt.replace("$8$1$", "$8$4294967295$"),
            scrypt.replace("$16$", "$2$").replace("$8$1$", "$1$2097153$"),
            scrypt.replace("$8$1$", "$0$1$"),
            scrypt.replace("$8$1$", "$8$0$"),
            scrypt.replace("==", ""),
        ] {
            assert!(ForeignHash::parse(&text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_taken_for_a_hash(
            text in "\\PC*|(pbkdf2_sha256|scrypt|bcrypt|bcrypt_sha256)(\\$[0-9A-Za-z+/.=]{0,12}){0,6}",
        ) {
            let _ = ForeignHash::parse(&text);
        }

        #[test]
        fn a_changed_hash_is_still_no_panic(place in 0_usize..4, at in 0_usize..120, by: char) {
            let mut text: Vec<char> = GOLDEN[place].chars().collect();
            let at = at % text.len();
            text[at] = by;
            let _ = verify(&text.into_iter().collect::<String>(), "");
        }
    }
}
