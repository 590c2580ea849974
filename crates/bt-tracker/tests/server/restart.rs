//! Swarms across restarts.

use bt_tracker::server::{Config, Mode, Server};

use crate::harness::{announce, config, get, hash, http, ports, put, query, start, torrent};

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_known_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = Some(dir.path().join("swarms"));
    let server = start(Config {
        snapshot: snapshot.clone(),
        ..config()
    })
    .await;
    for port in 1..=60 {
        announce(
            http(&server),
            1,
            port,
            u64::from(port % 2),
            "&event=completed",
        )
        .unwrap();
    }
    server.stop().await;
    let server = start(Config {
        snapshot: snapshot.clone(),
        ..config()
    })
    .await;
    let numbers = server.scrape(hash(1)).unwrap();
    assert_eq!(
        (numbers.complete, numbers.incomplete, numbers.downloaded),
        (30, 30, 30),
        "who lacks bytes has completed nothing"
    );
    let response = announce(http(&server), 1, 1, 1, "&event=completed&numwant=100").unwrap();
    assert_eq!(ports(&response), (2..=60).collect::<Vec<_>>());
    assert_eq!(response.downloaded, Some(30), "completions stay counted");
    drop(server);

    let snapshot_path = snapshot.clone().unwrap();
    let bytes = std::fs::read(&snapshot_path).unwrap();
    std::fs::write(&snapshot_path, &bytes[..bytes.len() / 2]).unwrap();
    let server = start(Config {
        snapshot,
        ..config()
    })
    .await;
    assert_eq!(
        server.stats().torrents,
        0,
        "a torn snapshot is left out and the server starts"
    );
    announce(http(&server), 1, 1, 1, "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tracker_takes_back_only_what_it_still_knows() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = Some(dir.path().join("swarms"));
    let server = start(Config {
        snapshot: snapshot.clone(),
        ..config()
    })
    .await;
    announce(http(&server), 1, 1, 1, "").unwrap();
    server.stop().await;
    let torrents = dir.path().join("torrents");
    std::fs::create_dir(&torrents).unwrap();
    put(&torrents, "a.torrent", &torrent("a").to_bytes());
    let server = start(Config {
        snapshot,
        torrents: Some(torrents),
        ..config()
    })
    .await;
    assert_eq!((server.stats().torrents, server.stats().peers_v4), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_cannot_be_used_is_set_aside_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swarms");
    let config = Config {
        snapshot: Some(path.clone()),
        ..config()
    };
    for (n, bytes) in [
        &b""[..],
        b"BTSWARMS\0\0\0\x01 torn",
        b"BTSWARMS\0\0\0\x09of later",
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&path, bytes).unwrap();
        start(config.clone()).await.stop().await;
        let aside = dir.path().join(format!("swarms.damaged-{}", n + 1));
        assert_eq!(std::fs::read(aside).unwrap(), bytes);
        assert_ne!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_was_a_snapshot_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("letter");
    std::fs::write(&path, "Dear reader").unwrap();
    let config = Config {
        snapshot: Some(path.clone()),
        ..config()
    };
    let refused = Server::start(config).await.unwrap_err().to_string();
    assert!(refused.contains("not a snapshot"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"Dear reader");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_the_last_snapshot_was_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let kept = |path: &std::path::Path| Config {
        snapshot: Some(path.into()),
        ..config()
    };
    assert!(start(kept(&dir.path().join("swarms"))).await.stop().await);
    assert!(start(config()).await.stop().await, "there is none to lose");
    let gone = dir.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let server = start(kept(&gone.join("swarms"))).await;
    std::fs::remove_dir(&gone).unwrap();
    assert!(!server.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_lists_no_longer_allow_does_not_come_back_from_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    let kept = Config {
        snapshot: Some(dir.path().join("swarms")),
        list: Some(list.clone()),
        ..config()
    };
    let denying = Config {
        mode: Mode::DenyList,
        ..kept.clone()
    };
    std::fs::write(&list, "").unwrap();
    let server = start(denying.clone()).await;
    announce(http(&server), 1, 1001, 5, "").unwrap();
    announce(http(&server), 2, 1001, 5, "").unwrap();
    server.stop().await;
    std::fs::write(&list, hash(1).to_string()).unwrap();
    let server = start(denying).await;
    assert_eq!(server.scrape(hash(1)), None);
    assert_eq!(server.scrape(hash(2)).unwrap().incomplete, 1);
    server.stop().await;

    std::fs::remove_file(dir.path().join("swarms")).unwrap();
    let private = Config {
        mode: Mode::Passkey,
        accounts: Some(dir.path().join("accounts")),
        ..kept
    };
    std::fs::write(&list, "secret-key-1\nsecret-key-2\n").unwrap();
    let server = start(private.clone()).await;
    for (key, port) in [("secret-key-1", 1001), ("secret-key-2", 1002)] {
        let target = format!("/{key}/announce?{}", query(1, port, 5, ""));
        assert_eq!(get(http(&server), &target).status, 200);
    }
    assert_eq!(server.scrape(hash(1)).unwrap().incomplete, 2);
    server.stop().await;
    std::fs::write(&list, "secret-key-2\n").unwrap();
    let server = start(private).await;
    assert_eq!(server.scrape(hash(1)).unwrap().incomplete, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_as_a_snapshot_is_left_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("file"), b"of somebody").unwrap();
    let config = Config {
        snapshot: Some(path.clone()),
        ..config()
    };
    let error = config.check().unwrap_err().to_string();
    assert!(error.starts_with("snapshot "), "{error}");
    let server = start(config).await;
    announce(http(&server), 1, 1, 1, "").unwrap();
    server.stop().await;
    assert_eq!(std::fs::read(path.join("file")).unwrap(), b"of somebody");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
