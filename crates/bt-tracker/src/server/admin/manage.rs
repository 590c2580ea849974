//! What an operator may change while the server runs: the list, users, torrents.
//!
//! Everything here needs the admin token, since passkeys are secrets and a list is power. Knows
//! HTTP and words for people; what a change means is decided elsewhere.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use bt_metainfo::InfoHash;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::logins::Verdict;
use super::super::{Account, Error, chores, contain, random};
use super::{Admin, Source};

/// Random bytes of a passkey that the server makes: nobody guesses 128 bits.
const NEW_KEY: usize = 16;

/// The paths, behind the token.
pub(super) fn router(admin: &Arc<Admin>) -> Router<Arc<Admin>> {
    Router::new()
        .route("/list/{entry}", put(add).delete(remove))
        .route("/users", get(users).post(invite))
        .route("/users/{key}", get(user).delete(forget_user))
        .route(
            "/torrents/{info_hash}",
            put(register).delete(forget_torrent),
        )
        .route("/reload", post(reload))
        .route_layer(from_fn_with_state(Arc::clone(admin), guard))
}

/// Why nothing was changed.
struct Refused {
    status: StatusCode,
    error: String,
    hint: &'static str,
}

/// What is called the entry on the list.
#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

async fn guard(
    State(admin): State<Arc<Admin>>,
    Extension(source): Extension<Source>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = &admin.tracker.admin_token else {
        let refused = Refused {
            status: StatusCode::FORBIDDEN,
            error: "this tracker has no admin token, so nothing can be changed here".into(),
            hint: "start it with --admin-token-file FILE or BT_TRACKER_ADMIN_TOKEN",
        };
        return refused.into_response();
    };
    let missing_or_wrong = || {
        let refused = Refused {
            status: StatusCode::UNAUTHORIZED,
            error: "the admin token is missing or wrong".into(),
            hint: "send the header \"Authorization: Bearer TOKEN\"",
        };
        ([(WWW_AUTHENTICATE, "Bearer")], refused).into_response()
    };
    // Who shows nothing guesses nothing.
    let Some(said) = request.headers().get(AUTHORIZATION) else {
        return missing_or_wrong();
    };
    // What a browser or a proxy sends of its own accord is no guess at a token.
    let Some(word) = said.as_bytes().strip_prefix(b"Bearer ") else {
        return missing_or_wrong();
    };
    let verdict = token.judge(word, source.0, Instant::now());
    if verdict != Verdict::Welcome {
        admin.tracker.stats.wrong_tokens.add(1);
    }
    match verdict {
        Verdict::Welcome => next.run(request).await,
        Verdict::Wrong => missing_or_wrong(),
        Verdict::Wait(time) => {
            // Whole seconds, and never too few.
            let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
            let refused = Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                error: format!("too many wrong tokens from your address; wait {seconds} s"),
                hint: "only the right token is heard before then",
            };
            ([(RETRY_AFTER, seconds.to_string())], refused).into_response()
        }
    }
}

async fn add(
    State(admin): State<Arc<Admin>>,
    Path(entry): Path<String>,
    Query(named): Query<Named>,
) -> Result<Json<Value>, Refused> {
    let entry = match named.name {
        Some(name) => format!("{entry} {name}"),
        None => entry,
    };
    let entries = blocking(&admin, move |admin| admin.add(&entry)).await?;
    Ok(Json(json!({"entries": entries})))
}

async fn remove(
    State(admin): State<Arc<Admin>>,
    Path(entry): Path<String>,
) -> Result<Json<Value>, Refused> {
    let entries = blocking(&admin, move |admin| admin.remove(&entry)).await?;
    Ok(Json(json!({"entries": entries})))
}

async fn users(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<Account>>, Refused> {
    let accounts = admin.tracker.access.accounts().ok_or_else(no_users)?;
    Ok(Json(accounts.accounts(admin.tracker.age(Instant::now()))))
}

/// A new user with a key that the server makes.
async fn invite(
    State(admin): State<Arc<Admin>>,
    Query(named): Query<Named>,
) -> Result<Json<Value>, Refused> {
    admin.tracker.access.accounts().ok_or_else(no_users)?;
    let mut bytes = [0; NEW_KEY];
    random::fill(&mut bytes)?;
    let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = match named.name {
        Some(name) => format!("{key} {name}"),
        None => key.clone(),
    };
    let entries = blocking(&admin, move |admin| admin.add(&entry)).await?;
    Ok(Json(json!({"key": key, "entries": entries})))
}

async fn user(
    State(admin): State<Arc<Admin>>,
    Path(key): Path<String>,
) -> Result<Json<Account>, Refused> {
    let accounts = admin.tracker.access.accounts().ok_or_else(no_users)?;
    let account = accounts.account(&key, admin.tracker.age(Instant::now()));
    account
        .map(Json)
        .ok_or_else(|| unknown("nobody has this key"))
}

/// Revokes the key, if it is on the list, and forgets the numbers.
async fn forget_user(
    State(admin): State<Arc<Admin>>,
    Path(key): Path<String>,
) -> Result<Json<Value>, Refused> {
    admin.tracker.access.accounts().ok_or_else(no_users)?;
    let revoked = blocking(&admin, {
        let key = key.clone();
        move |admin| match admin.remove(&key) {
            Ok(_) => Ok(true),
            Err(Error::NotListed) => Ok(false),
            Err(error) => Err(error),
        }
    });
    let revoked = revoked.await?;
    let accounts = admin.tracker.access.accounts().ok_or_else(no_users)?;
    if !accounts.forget(&key) && !revoked {
        return Err(unknown("nobody has this key"));
    }
    Ok(Json(json!({"revoked": revoked, "forgotten": true})))
}

async fn register(
    State(admin): State<Arc<Admin>>,
    Path(info_hash): Path<String>,
) -> Result<Json<Value>, Refused> {
    let info_hash = hash(&info_hash)?;
    let known = admin.tracker.swarms.register(info_hash);
    Ok(Json(
        json!({"info_hash": info_hash.to_string(), "was_registered": known}),
    ))
}

async fn forget_torrent(
    State(admin): State<Arc<Admin>>,
    Path(info_hash): Path<String>,
) -> Result<Json<Value>, Refused> {
    let info_hash = hash(&info_hash)?;
    if !admin.tracker.forget(info_hash)? {
        return Err(unknown("no such torrent is tracked"));
    }
    Ok(Json(
        json!({"info_hash": info_hash.to_string(), "forgotten": true}),
    ))
}

async fn reload(State(admin): State<Arc<Admin>>) -> Result<Json<Value>, Refused> {
    let entries = blocking(&admin, |admin| {
        chores::reload(&admin.tracker, admin.torrents.as_deref())
    });
    Ok(Json(json!({"entries": entries.await?})))
}

/// Does what waits for a disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    admin: &Arc<Admin>,
    work: impl FnOnce(&Admin) -> Result<T, Error> + Send + 'static,
) -> Result<T, Refused> {
    let admin = Arc::clone(admin);
    let work = move || contain::catch(&admin.tracker.stats, || work(&admin));
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(contain::Bug)) | Err(_) => Err(Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "internal error".into(),
            hint: "",
        }),
    }
}

fn hash(text: &str) -> Result<InfoHash, Refused> {
    let is_hash = text.len() == 40;
    let parsed = text.parse().ok().filter(|_| is_hash);
    parsed.ok_or_else(|| Refused {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        error: "not an info-hash of 40 hexadecimal digits".into(),
        hint: "",
    })
}

fn no_users() -> Refused {
    Refused {
        status: StatusCode::CONFLICT,
        error: "this tracker has no users".into(),
        hint: "users are those of --mode passkey",
    }
}

fn unknown(what: &str) -> Refused {
    Refused {
        status: StatusCode::NOT_FOUND,
        error: what.into(),
        hint: "",
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let (status, hint) = match &error {
            Error::BadEntry { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "an info-hash for allow-list and deny-list, a passkey and maybe a name for passkey",
            ),
            Error::NotListed => (StatusCode::NOT_FOUND, ""),
            Error::NoListToEdit => (StatusCode::CONFLICT, "lists are those of --mode"),
            Error::InDirectory { .. } => (StatusCode::CONFLICT, "remove the file instead"),
            Error::BadList { .. } => (
                StatusCode::CONFLICT,
                "somebody has changed the list file; mend it first",
            ),
            Error::WriteList { .. } => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the tracker needs to be allowed to write the list file and beside it",
            ),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, ""),
        };
        let cause = std::error::Error::source(&error);
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        Self {
            status,
            error: format!("{error}{cause}"),
            hint,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "hint": self.hint});
        (self.status, Json(body)).into_response()
    }
}
