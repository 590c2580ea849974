//! Several addresses, one success: the next is tried when the one before has failed or has taken
//! too long, and the first that succeeds ends the others (RFC 8305, "Happy Eyeballs", in short).

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

/// Runs `attempt` for the addresses, beginning a new one every `stagger` or as soon as one has
/// failed. Gives the first success or, when there is none, the last failure; `None` without any
/// address. Dropping the future ends all attempts.
pub(super) async fn first_success<T, E, F>(
    addrs: &[SocketAddr],
    stagger: Duration,
    attempt: impl Fn(SocketAddr) -> F,
) -> Option<Result<T, E>>
where
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut waiting = addrs.iter().copied();
    let mut running = JoinSet::new();
    let mut last = None;
    running.spawn(attempt(waiting.next()?));
    loop {
        let more = waiting.len() > 0;
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            () = tokio::time::sleep(stagger), if more => None,
        };
        match ended {
            Some(Ok(Ok(success))) => return Some(Ok(success)),
            Some(Ok(Err(failure))) => last = Some(Err(failure)),
            // The attempt panicked. Others may do better.
            Some(Err(_)) => {}
            None if running.is_empty() && !more => return last,
            None => {}
        }
        if let Some(addr) = waiting.next() {
            running.spawn(attempt(addr));
        } else if running.is_empty() {
            return last;
        }
    }
}
