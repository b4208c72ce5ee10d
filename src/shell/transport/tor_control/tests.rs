use tokio::io::DuplexStream;

use super::*;

/// A daemon that has answers ready, line by line.
async fn daemon(stream: DuplexStream, answers: Vec<String>) -> Vec<String> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let mut heard = Vec::new();
    for answer in answers {
        match lines.next_line().await {
            Ok(Some(line)) => heard.push(line),
            _ => break,
        }
        // The other side may have hung up.
        let _sent = writer.write_all(answer.as_bytes()).await;
    }
    heard
}

async fn ask_one_that_says(answers: &[&str]) -> (Result<DaemonHealth, ControlError>, Vec<String>) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let answers = answers.iter().map(|&answer| answer.to_owned()).collect();
    let daemon = tokio::spawn(daemon(theirs, answers));
    let health = ControlConnection::new(ours).health().await;
    (health, daemon.await.unwrap())
}

const INFO: &str = "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n\
                    250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n";

#[tokio::test]
async fn starting_daemon_reports_progress() {
    let phase = "250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=75 TAG=enough_dirinfo \
                 SUMMARY=\"Loaded enough directory info to build circuits\"\r\n\
                 250-status/circuit-established=0\r\n250 OK\r\n";
    let (health, heard) = ask_one_that_says(&[INFO, "250 OK\r\n", phase]).await;
    let health = health.unwrap();
    assert_eq!((health.percent, health.circuit), (75, false));
    assert_eq!(
        health.doing,
        "Loaded enough directory info to build circuits"
    );
    assert_eq!(heard[1], "AUTHENTICATE ");
}

#[tokio::test]
async fn daemon_with_password_authentication_is_refused() {
    let info = "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=HASHEDPASSWORD\r\n250 OK\r\n";
    let (health, _) = ask_one_that_says(&[info]).await;
    assert!(matches!(health, Err(ControlError::Password)));
}

#[tokio::test]
async fn impostor_learns_nothing_about_cookie() {
    let cookie = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(cookie.path(), [7; 32]).unwrap();
    let info = format!(
        "250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE=\"{}\"\r\n250 OK\r\n",
        cookie.path().display()
    );
    let challenge = format!(
        "250 AUTHCHALLENGE SERVERHASH={} SERVERNONCE={}\r\n",
        "00".repeat(32),
        "11".repeat(32)
    );
    let (health, heard) = ask_one_that_says(&[&info, &challenge, "250 OK\r\n"]).await;
    assert!(matches!(health, Err(ControlError::WrongServerHash)));
    assert!(heard.iter().all(|line| !line.starts_with("AUTHENTICATE")));
}

#[tokio::test]
async fn malformed_and_endless_lines_are_errors() {
    let endless = "x".repeat(1 << 15);
    for said in [
        "",
        "\r\n",
        "250\r\n",
        "250 OK\r\n",
        "510 Unrecognized\r\n",
        &endless,
    ] {
        let (health, _) = ask_one_that_says(&[said]).await;
        assert!(health.is_err(), "{said:?}");
    }
}

#[test]
fn cookie_proofs_match_control_spec() {
    // Made with Python's hmac from the words of control-spec 3.24.
    let mac = |whose| {
        hex::encode(
            mac(whose, &[1; 32], &[2; 32], &[3; 32])
                .finalize()
                .into_bytes(),
        )
    };
    assert_eq!(
        mac(SERVER_TO_CONTROLLER_KEY),
        "1830d2de6e061e60adfa2c0c2a9257b7126e51b074f39bd4519d89229df08827"
    );
    assert_eq!(
        mac(CONTROLLER_TO_SERVER_KEY),
        "8d81b806c8314911da68057896783b1f28f640a588c9a2cfe902d371806bbf1a"
    );
}

#[test]
fn field_is_found_by_whole_name() {
    let line = "AUTH XMETHODS=A METHODS=B,C COOKIEFILE=\"/run/tor/a file\"";
    assert_eq!(field(line, "METHODS"), Some("B,C"));
    assert_eq!(field(line, "COOKIEFILE"), Some("/run/tor/a file"));
    assert_eq!(field(line, "FILE"), None);
}
