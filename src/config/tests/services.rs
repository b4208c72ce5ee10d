//! What a node offers to programs and to readers: JSON-RPC and the mail server.

use super::*;
use crate::config::mail::MailStore;
use crate::config::rpc::Module;

#[test]
fn file_with_every_key_of_rpc_is_read() {
    let text = "[rpc]\nhttp = '127.0.0.1:8545'\nws = '[::1]:8546'\nmodules = ['shh', 'admin']\n\
                origins = ['http://localhost:3000']\nallow-key-export = true\n\
                danger-no-token = true\n";
    let written: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(written, keys_of("rpc"));
    let rpc = build(text).unwrap().rpc;
    assert_eq!(rpc.http, Some("127.0.0.1:8545".parse().unwrap()));
    assert_eq!(rpc.ws, Some("[::1]:8546".parse().unwrap()));
    assert_eq!(rpc.modules, [Module::Shh, Module::Admin]);
    assert_eq!(rpc.origins, ["http://localhost:3000".parse().unwrap()]);
    assert!(rpc.allow_key_export && rpc.danger_no_token);
}

#[test]
fn file_with_every_key_of_mail_is_read() {
    let key = "ab".repeat(64);
    let text = format!(
        "[mail]\nserve = true\nstore = 'postgres://mail@db/mail'\nmax-mb = 7\ndays = 3\n\
         password-file = '/run/mail'\nallow = ['enode://{key}@127.0.0.1:3', '{key}']\n"
    );
    let written: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(written, keys_of("mail"));
    let mail = build(&text).unwrap().mail.unwrap();
    assert!(matches!(mail.store, MailStore::Postgres(_)));
    assert_eq!((mail.bytes, mail.age), (7 << 20, 3 * 86_400));
    assert_eq!(mail.password_file.as_deref(), Some(Path::new("/run/mail")));
    assert_eq!(mail.allow.len(), 2);
}

#[test]
fn node_is_not_a_mail_server_by_default() {
    assert!(build("").unwrap().mail.is_none());
    assert!(build("[mail]\nserve = false\n").unwrap().mail.is_none());
    let mail = build("[mail]\nserve = true\n").unwrap().mail.unwrap();
    assert_eq!(mail.store, MailStore::Sqlite);
    assert!(mail.allow.is_empty());
    let error = read("[mail]\nstore = 'mysql://me:secret@db/mail'\n").unwrap_err();
    assert!(error.contains("postgres://USER@HOST/DATABASE"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    for days in ["0", "3651"] {
        assert!(read(&format!("[mail]\ndays = {days}\n")).is_err());
    }
}

#[test]
fn json_rpc_over_tcp_is_off_by_default() {
    let rpc = build("").unwrap().rpc;
    assert_eq!((rpc.http, rpc.ws), (None, None));
    assert_eq!(rpc.modules, [Module::Shh, Module::Net, Module::Web3]);
    assert!(rpc.origins.is_empty() && !rpc.allow_key_export && !rpc.danger_no_token);
    let off = read("rpc.http = 'off'").unwrap();
    let on = read("rpc.http = '127.0.0.1:8545'").unwrap();
    let rpc = Config::build(off.or(on)).unwrap().rpc;
    assert_eq!(rpc.http, None);
}

#[test]
fn json_rpc_on_a_public_address_is_refused() {
    for address in ["0.0.0.0:8545", "[::]:8545", "192.0.2.1:8545"] {
        for key in ["http", "ws"] {
            let text = format!("[rpc]\n{key} = '{address}'");
            let error = Config::build(read(&text).unwrap()).unwrap_err();
            assert!(error.is_policy(), "{error}");
            let error = error.to_string();
            assert!(error.contains(&format!("`rpc.{key}`")) && error.contains("127.0.0.1"));
        }
    }
}
