//! The commands of mail: exit codes and errors.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::{LOCAL, Running, fails, run, scratch, succeeds};

#[test]
fn mail_fetch_reports_cause_of_failure() {
    let (data, other) = (scratch(), scratch());
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    let said = fails(&node.run(&["mail", "fetch"]), 2);
    assert!(said.contains("no mail server is known"), "{said}");
    let said = fails(&node.run(&["mail", "fetch", "--narrow"]), 2);
    assert!(said.contains("--topic"), "{said}");
    let said = fails(&node.run(&["mail", "fetch", "--from", "unknown"]), 2);
    assert!(said.contains("`from`"), "{said}");

    let server = Running::start(&other.path, &["--listen", "127.0.0.1:0", "--mail-serve"]);
    assert_eq!(server.banner["mail"], true);
    let from = ["mail", "fetch", "--from", server.enode()];
    let shown = succeeds(&node.run(&from));
    assert!(shown.contains("0 envelopes came"), "{shown}");
    let narrow = [&from[..], &["--topic", "0x01020304", "--narrow"]].concat();
    let output = node.run(&narrow);
    let warned = String::from_utf8_lossy(&output.stderr);
    assert!(warned.contains("the server will know"), "{warned}");
    let outcome: Value =
        serde_json::from_str(&succeeds(&node.run(&[&from[..], &["--json"]].concat()))).unwrap();
    assert_eq!(outcome["end"], "complete");
    assert_eq!(outcome["exit"], 0);

    let enode = server.enode().to_owned();
    drop(server);
    let said = fails(&node.run(&["mail", "fetch", "--from", &enode]), 3);
    assert!(said.contains("not reached"), "{said}");
}

#[test]
fn mail_server_refuses_password_readable_by_others() {
    let data = scratch();
    let store = "postgres://user:secret@localhost/mail";
    let said = fails(
        &run(&data.path, &["mail", "serve", "--mail-store", store]),
        2,
    );
    assert!(
        said.contains("PGPASSFILE") && !said.contains("secret"),
        "{said}"
    );
    fs::create_dir_all(&data.path).unwrap();
    let password = data.path.join("password");
    fs::write(&password, "post office\n").unwrap();
    fs::set_permissions(&password, Permissions::from_mode(0o644)).unwrap();
    let serve = |args: &[&str]| {
        let args = [&["mail", "serve"], &LOCAL[..], args].concat();
        run(&scratch().path, &args)
    };
    let file = ["--mail-password-file", password.to_str().unwrap()];
    let said = fails(&serve(&file), 5);
    assert!(said.contains("chmod 0600"), "{said}");
    let nowhere = ["--mail-store", "postgres://unknown@%2Fnonexistent/mail"];
    let said = fails(&serve(&nowhere), 1);
    assert!(said.contains("the mail database"), "{said}");
}
