//! difusor patch: telling clients of the next host key before it is used, and proving it
//! (OpenSSH's PROTOCOL, section 2.5: `hostkeys-00@openssh.com`, `hostkeys-prove-00@openssh.com`).

use std::sync::Arc;

use ssh_encoding::{Decode, Encode, Reader};
use ssh_key::{HashAlg, PrivateKey};

use super::Session;
use crate::helpers::sign_with_hash_alg;
use crate::keys::PrivateKeyWithHashAlg;
use crate::msg;

pub(super) const HOSTKEYS_PROVE: &str = "hostkeys-prove-00@openssh.com";
const HOSTKEYS: &str = "hostkeys-00@openssh.com";
/// A client asks once for what it did not know; we have a handful.
const PROOFS_MAX: usize = 16;

impl Session {
    /// Tells the client, now authenticated, of every host key there is.
    pub(super) fn announce_host_keys(&mut self) -> Result<(), crate::Error> {
        let config = self.common.config.clone();
        let authenticated = self
            .common
            .encrypted
            .as_ref()
            .is_some_and(|enc| matches!(enc.state, crate::session::EncryptedState::InitCompression));
        if !config.announce_keys || !authenticated {
            return Ok(());
        }
        let mut blobs = Vec::new();
        for key in config.keys.iter().chain(&config.next_keys) {
            key.public_key().to_bytes()?.encode(&mut blobs)?;
        }
        if let Some(enc) = self.common.encrypted.as_mut() {
            push_packet!(enc.write, {
                enc.write.push(msg::GLOBAL_REQUEST);
                HOSTKEYS.encode(&mut enc.write)?;
                0u8.encode(&mut enc.write)?;
                enc.write.extend_from_slice(&blobs);
            });
        }
        Ok(())
    }

    /// A signature by each host key that the client names, in its order; `None` if one is
    /// not ours.
    pub(super) fn prove_host_keys<R: Reader>(&self, r: &mut R) -> Option<Vec<u8>> {
        let session_id = &self.common.encrypted.as_ref()?.session_id;
        let mut proofs = Vec::new();
        let mut count = 0;
        while !r.is_finished() {
            let blob = Vec::<u8>::decode(r).ok()?;
            count += 1;
            if count > PROOFS_MAX {
                return None;
            }
            let key = self.host_key(&blob)?;
            let mut signed = Vec::new();
            HOSTKEYS_PROVE.encode(&mut signed).ok()?;
            session_id.as_ref().encode(&mut signed).ok()?;
            blob.encode(&mut signed).ok()?;
            let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), Some(HashAlg::Sha512));
            sign_with_hash_alg(&key, &signed).ok()?.encode(&mut proofs).ok()?;
        }
        (count > 0).then_some(proofs)
    }

    fn host_key(&self, blob: &[u8]) -> Option<&PrivateKey> {
        let config = &self.common.config;
        let mut keys = config.keys.iter().chain(&config.next_keys);
        keys.find(|key| key.public_key().to_bytes().is_ok_and(|own| own == blob))
    }
}
