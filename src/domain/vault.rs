//! Sealing and keyed hashing of stored secrets under the server's secret key.
//!
//! Sealed with XChaCha20-Poly1305, bound to a purpose and the owner's id, so that a sealed value moved to another
//! user or place does not open. Nonces come in from outside: this module has no randomness.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Length of the secret key, in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of a nonce, in bytes.
pub const NONCE_BYTES: usize = 24;

/// A sealed secret: key id (4 bytes), nonce, ciphertext with tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[sealed]")
    }
}

/// Why a sealed value did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("sealed with another secret key; the server has to use the secret.key that belongs to this store")]
    OtherKey,
    #[error("damaged, or not meant for this place")]
    Damaged,
}

/// Holds the keys derived from the server's secret key. Does not print.
pub struct Vault {
    seal_key: Zeroizing<[u8; KEY_BYTES]>,
    mac_key: Zeroizing<[u8; KEY_BYTES]>,
    key_id: [u8; 4],
}

impl Vault {
    /// Derives the working keys, each for one purpose, from the secret key.
    #[must_use]
    pub fn new(secret_key: &[u8; KEY_BYTES]) -> Self {
        let derive = |purpose: &str| hmac(secret_key, &[b"doorward/1/", purpose.as_bytes()]);
        let id = hmac(secret_key, &[b"doorward/1/id"]);
        Self {
            seal_key: Zeroizing::new(derive("seal")),
            mac_key: Zeroizing::new(derive("mac")),
            key_id: [id[0], id[1], id[2], id[3]],
        }
    }

    /// Names the secret key without telling anything about it; part of every sealed value.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// Seals `plain` for a purpose and an owner.
    #[must_use]
    pub fn seal(&self, purpose: &str, owner: &[u8], nonce: [u8; NONCE_BYTES], plain: &[u8]) -> Sealed {
        let aad = associated(purpose, owner);
        let cipher = XChaCha20Poly1305::new((&*self.seal_key).into());
        let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad }).unwrap_or_default();
        Sealed([&self.key_id[..], &nonce, &sealed].concat())
    }

    /// Opens what [`Vault::seal`] made for the same purpose and owner.
    pub fn open(&self, purpose: &str, owner: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (key_id, rest) = sealed.0.split_first_chunk::<4>().ok_or(VaultError::Damaged)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Damaged)?;
        if *key_id != self.key_id {
            return Err(VaultError::OtherKey);
        }
        let aad = associated(purpose, owner);
        XChaCha20Poly1305::new((&*self.seal_key).into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Damaged)
    }

    /// HMAC-SHA-256 under a key of this server, over a purpose and length-prefixed parts.
    #[must_use]
    pub fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        let mut all: Vec<&[u8]> = vec![purpose.as_bytes(), b"\0"];
        for (part, length) in parts.iter().zip(&lengths) {
            all.push(length);
            all.push(part);
        }
        hmac(&self.mac_key, &all)
    }
}

/// SHA-256, for secrets of high entropy (session keys, API keys, tokens) that are stored as a hash.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn associated(purpose: &str, owner: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), b"\0", owner].concat()
}

fn hmac(key: &[u8; KEY_BYTES], parts: &[&[u8]]) -> [u8; 32] {
    // SHA-256 takes keys up to its block of 64 bytes as they are, padded with zeroes (RFC 2104 §2).
    let mut block = Zeroizing::new([0u8; 64]);
    block.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal("totp", b"user-1", [1; 24], b"secret");
        assert_eq!(vault.open("totp", b"user-1", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(vault.open("totp", b"user-2", &sealed), Err(VaultError::Damaged));
        assert_eq!(vault.open("code", b"user-1", &sealed), Err(VaultError::Damaged));
        assert_eq!(Vault::new(&[8; 32]).open("totp", b"user-1", &sealed), Err(VaultError::OtherKey));
        let mut damaged = sealed.clone();
        *damaged.0.last_mut().unwrap() ^= 1;
        assert_eq!(vault.open("totp", b"user-1", &damaged), Err(VaultError::Damaged));
    }

    #[test]
    fn mac_parts_do_not_run_together() {
        let vault = Vault::new(&[7; 32]);
        assert_ne!(vault.mac("p", &[b"ab", b"c"]), vault.mac("p", &[b"a", b"bc"]));
    }

    /// RFC 4231 §4.3 (test case 2), padded to our key length: the construction is plain HMAC-SHA-256.
    #[test]
    fn the_mac_is_hmac_sha_256() {
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(b"Jefe");
        let mac = hmac(&key, &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(mac[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        assert_eq!(mac[28..], [0x64, 0xec, 0x38, 0x43]);
    }

    #[test]
    fn short_and_cut_values_are_damaged() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal("totp", b"user-1", [1; 24], b"secret");
        assert_eq!(sealed.0.len(), 4 + NONCE_BYTES + 6 + 16);
        for length in [0, 3, 4, 27, 28, sealed.0.len() - 1] {
            let cut = Sealed(sealed.0[..length].to_vec());
            assert_eq!(vault.open("totp", b"user-1", &cut), Err(VaultError::Damaged), "{length}");
        }
    }

    #[test]
    fn purposes_and_keys_separate_macs() {
        let vault = Vault::new(&[7; 32]);
        assert_ne!(vault.mac("p", &[b"a"]), vault.mac("q", &[b"a"]));
        assert_ne!(vault.mac("p", &[b"a"]), Vault::new(&[8; 32]).mac("p", &[b"a"]));
        assert_eq!(vault.mac("p", &[b"a"]), Vault::new(&[7; 32]).mac("p", &[b"a"]));
        assert_eq!(vault.key_id(), Vault::new(&[7; 32]).key_id());
    }
}
