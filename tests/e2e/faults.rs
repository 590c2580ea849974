//! The program while a system call of its fails, by strace. `cargo xtask trouble faults` has the whole table.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use bt_client::{AddTorrent, Session, SessionConfig};
use bt_metainfo::{Metainfo, create};

use crate::peers::{leave_out, program};

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_ends_a_download_with_words_and_the_next_run_repairs_it() {
    let Some(strace) = program("strace") else {
        return leave_out("a disk that fails", "strace");
    };
    let home = tempfile::tempdir().expect("a directory");
    let content = home.path().join("one.bin");
    std::fs::write(&content, vec![7; 1_000_000]).expect("content");
    let torrent = create::create(&content, &create::Options::default()).expect("a torrent");
    let torrent = torrent.to_bytes().expect("its bytes");
    std::fs::write(home.path().join("it.torrent"), &torrent).expect("a file");
    let config = SessionConfig {
        trackers: false,
        ..SessionConfig::default()
    };
    let seed = Session::start(config).await.expect("a session");
    let metainfo = Metainfo::parse(&torrent).expect("our own torrent");
    let add = AddTorrent::initial_seeder(metainfo, home.path());
    seed.add(add).await.expect("it is served");
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, seed.port())).to_string();

    let run = move |fault: Option<&str>| {
        let client = env!("CARGO_BIN_EXE_bt-client");
        let mut command = match fault {
            None => Command::new(client),
            Some(fault) => {
                let mut command = Command::new(&strace);
                command.args(["-f", "-qq", "-o", "log", "-e", "trace=pwritev"]);
                command.args(["-e", &format!("inject=pwritev:{fault}"), client]);
                command
            }
        };
        command.args(["download", "it.torrent", "-o", "out", "--timeout", "60s"]);
        command.args(["--bind", "127.0.0.1", "--peer", &peer]);
        let output = command
            .current_dir(home.path())
            .env("HOME", home.path())
            .output()
            .expect("it runs");
        let copy = std::fs::read(home.path().join("out/one.bin")).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said, copy == [7; 1_000_000])
    };
    let runs = tokio::task::spawn_blocking(move || [run(Some("error=EIO:when=1+")), run(None)]);
    let [(code, said, _), (again, _, is_intact)] = runs.await.expect("both runs");
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("error: cannot write out/one.bin"), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert_eq!((again, is_intact), (Some(0), true));
    seed.stop().await;
}
