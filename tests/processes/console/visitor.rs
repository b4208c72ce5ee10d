//! A visitor of the console without a browser: one request for each connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::node::NodeProcess;

/// A session of the console.
pub(super) struct ConsoleVisitor {
    host: String,
    cookie: String,
}

/// An answer of the console.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl ConsoleVisitor {
    /// Opens a session at a node.
    pub(super) fn enter(node: &NodeProcess) -> Self {
        let url = node.ask(&["console"])["url"].as_str().unwrap().to_owned();
        let (_, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let mut visitor = Self {
            host: host.to_owned(),
            cookie: String::new(),
        };
        let opened = visitor.get(&format!("/{path}"));
        assert_eq!(opened.status, 303, "{}", opened.body);
        let (_, cookie) = opened.head.split_once("set-cookie: ").unwrap();
        visitor.cookie = cookie.split(';').next().unwrap().to_owned();
        visitor
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "")
    }

    /// Sends a form with the token of the session.
    pub(super) fn post(&self, path: &str, fields: &str) -> Answer {
        let page = self.get("/settings").body;
        let (_, token) = page.split_once("name=\"token\" value=\"").unwrap();
        let token = token.split('"').next().unwrap();
        self.send(&format!("POST {path}"), &format!("token={token}{fields}"))
    }

    fn send(&self, what: &str, body: &str) -> Answer {
        let port = self.host.rsplit(':').next().unwrap().parse().unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        write!(
            stream,
            "{what} HTTP/1.1\r\nHost: {}\r\nOrigin: http://{0}\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.host,
            self.cookie,
            body.len()
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}
