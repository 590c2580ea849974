//! Announces that another tracker of the same swarms has heard. Knows nothing of how they came.

use std::time::{Duration, Instant};

use super::Swarms;
use super::answer::{Answer, Refusal};
use super::store::Announce;

impl Swarms {
    /// Carries out an announce that another tracker has heard `age` ago, so that the peer expires
    /// when it does there. What is known of the peer since then is left as it is. `wanted` should
    /// be 0: nobody is answered. Returns whether anything was carried out.
    ///
    /// # Errors
    /// When the tracker is closed to this torrent, or full.
    pub fn hear_of(
        &self,
        now: Instant,
        age: Duration,
        announce: &Announce,
        scratch: &mut Answer,
    ) -> Result<bool, Refusal> {
        if age > self.config.peer_ttl {
            return Ok(false);
        }
        scratch.clear();
        let ticks = age.as_micros() / self.tick_length().as_micros().max(1);
        let ticks = u16::try_from(ticks).unwrap_or(u16::MAX);
        let hash = self.hash(&announce.info_hash);
        let mut env = self.env(self.tick(now));
        env.heard = env.tick.minus(ticks);
        let mut shard = self.shard_of(hash);
        if shard
            .age_of(hash, announce, &env)
            .is_some_and(|known| known < ticks)
        {
            return Ok(false);
        }
        shard.announce(
            hash,
            announce,
            self.config.closed,
            &self.open,
            &env,
            scratch,
        )?;
        Ok(true)
    }
}
