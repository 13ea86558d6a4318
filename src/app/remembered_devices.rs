//! Remembered devices: browsers that may skip the second step of a login for some weeks (spec §4.3). Their users list and
//! revoke them beside the login sessions (W-40). The reference has no such calls, so no client of its notices ours:
//!
//! * `GET /api/users/{uuid}/remembered_devices`: 200, array of `{"id", "created_at", "expires_at", "device", "is_current"}`,
//!   newest first;
//! * `DELETE /api/users/{uuid}/remembered_devices/{id}`: 204, or 404 `Remembered device not found.`;
//! * both for one's own account only, with a session; the second within the re-authentication window.

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::login::is_remembered_device_live;
use super::permission::KeyRule;
use super::views::{RememberedDeviceView, UserRef};
use super::{Context, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::secret::Secret;
use crate::domain::session::{RememberedDevice, public_id};
use crate::domain::user::User;
use crate::domain::user_agent;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{Versioned, put_remembered, remove_remembered};
use crate::store::Batch;

/// Remember cookies looked at: a browser keeps those of other accounts, and those that died, for a month.
pub(super) const LOOKED_AT_MAX: usize = 20;
/// Devices of one browser that stay when all others are forgotten: more than a browser has of one account, and they fit
/// into a batch.
const KEPT_MAX: usize = 4;

/// `GET /api/users/{uuid}/remembered_devices`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListRememberedDevices {
    pub user: UserRef,
    /// Values of the `remember-cookie_*` cookies sent along.
    pub remembered: Vec<Secret>,
}

impl Operation for ListRememberedDevices {
    const NAME: &'static str = "list_remembered_devices";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Ignored);
    type Reply = Vec<RememberedDeviceView>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.own_account(&self.user)?;
        let caller = cx.require_caller()?;
        let present: Vec<[u8; 32]> =
            self.remembered.iter().take(LOOKED_AT_MAX).map(|cookie| sha256(cookie.expose().as_bytes())).collect();
        let mut devices = cx.live_devices(caller).await?;
        devices.sort_by_key(|(_, device)| std::cmp::Reverse(device.created_at));
        Ok(devices.iter().map(|(hash, device)| view(hash, device, present.contains(hash))).collect())
    }
}

/// `DELETE /api/users/{uuid}/remembered_devices/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeRememberedDevice {
    pub user: UserRef,
    pub id: String,
}

impl Operation for RevokeRememberedDevice {
    const NAME: &'static str = "revoke_remembered_device";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Ignored).sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.own_account(&self.user)?;
        let caller = cx.require_caller()?;
        let not_found = || Error::NotFound { detail: "Remembered device not found.".into() };
        let devices = cx.live_devices(caller).await?;
        let found = devices.into_iter().find(|(hash, _)| device_id(hash).to_string() == self.id);
        let (hash, _) = found.ok_or_else(not_found)?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            // Of two at once, one forgets it; the other does not find it any more.
            let live = cx.records().remembered(&hash).await?.ok_or_else(not_found)?;
            let note = Note::of(Event::RememberedDeviceRevoked, caller).detail("device", &self.id);
            let batch = remove_remembered(live.expect(Batch::default(), &hash), &hash, &live.value);
            if cx.commit(cx.audited(batch, note)).await?.is_some() {
                return Ok(());
            }
        }
    }
}

impl Context<'_> {
    /// The remembered devices of a user that still count, with their hashes.
    pub(super) async fn live_devices(&self, user: &User) -> Result<Vec<([u8; 32], RememberedDevice)>> {
        let mut devices = self.records().remembered_of(user.id).await?;
        devices.retain(|(_, device)| is_remembered_device_live(device, user, self.now));
        Ok(devices)
    }

    /// The live devices of a user that a browser shows with its cookies, as many as are wanted.
    pub(super) async fn presented_devices(
        &self,
        user: &User,
        cookies: &[Secret],
        wanted: usize,
    ) -> Result<Vec<([u8; 32], Versioned<RememberedDevice>)>> {
        let mut found = Vec::new();
        for cookie in cookies.iter().take(LOOKED_AT_MAX) {
            let hash = sha256(cookie.expose().as_bytes());
            let device = self.records().remembered(&hash).await?;
            found.extend(
                device
                    .filter(|device| is_remembered_device_live(&device.value, user, self.now))
                    .map(|live| (hash, live)),
            );
            if found.len() == wanted {
                break;
            }
        }
        Ok(found)
    }

    /// Carries the devices of the browser that calls over to the changed user, whose others are forgotten; says how many
    /// those are.
    pub(super) async fn keep_devices(
        &self,
        mut batch: Batch,
        before: &User,
        user: &User,
        cookies: &[Secret],
    ) -> Result<(Batch, usize)> {
        let all = self.live_devices(before).await?.len();
        let kept = self.presented_devices(before, cookies, KEPT_MAX).await?;
        let forgotten = all.saturating_sub(kept.len());
        for (hash, live) in kept {
            batch = live.expect(batch, &hash);
            batch = put_remembered(batch, &hash, &RememberedDevice { epoch: user.remember_epoch, ..live.value });
        }
        Ok((batch, forgotten))
    }
}

fn device_id(hash: &[u8; 32]) -> uuid::Uuid {
    public_id("remembered device", hash)
}

fn view(hash: &[u8; 32], device: &RememberedDevice, is_current: bool) -> RememberedDeviceView {
    RememberedDeviceView {
        id: device_id(hash),
        created_at: device.created_at.to_rfc3339_z(),
        expires_at: device.expires_at.to_rfc3339_z(),
        device: user_agent::identify(&device.user_agent),
        is_current,
    }
}
