//! Uploads: what is refused before anything of the file is read, and what the limits are.

use super::{DataLocation, Visitor, node};

#[tokio::test]
async fn upload_without_token_in_front_is_refused() {
    let node = node(&DataLocation::Ephemeral).await;
    let visitor = Visitor::enter(&node).await;
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\ntext\r\n";
    let token = part("token", &visitor.token);
    let kind = "multipart/form-data; boundary=b";
    let refused = [
        format!("{file}{token}--b--\r\n"),
        format!("{}{file}--b--\r\n", part("token", "00")),
        format!("{file}--b--\r\n"),
    ];
    for body in refused {
        assert_eq!(
            visitor.ask("POST", "/files/new", kind, &body).await.status,
            403
        );
    }
    // With it, the node is asked, and knows no such contact.
    let own = format!("{token}{}{file}--b--\r\n", part("to", "desk"));
    let answer = visitor.ask("POST", "/files/new", kind, &own).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    // The wishes stand before the file, so that nothing is read in vain.
    // A word that is not the one that hands over a file as it is hands over nothing.
    let own = format!(
        "{token}{}{}{file}--b--\r\n",
        part("to", "desk"),
        part("as-is", "yes")
    );
    let answer = visitor.ask("POST", "/files/new", kind, &own).await;
    assert!(answer.body.contains("type `as is`"), "{}", answer.body);
    node.shutdown().await;
}
