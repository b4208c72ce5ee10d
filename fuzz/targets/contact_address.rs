//! Addresses of people, as users type them.

use whisht::contact::address::{AddressError, ContactAddress};

/// Parses the input as an address. Panics if an accepted text is not one of the forms of its address, or if
/// an error cannot be shown on a terminal.
pub fn contact_address(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    match text.parse::<ContactAddress>() {
        Ok(address) => {
            let canonical = address.to_string();
            assert_eq!(canonical.len(), ContactAddress::LEN);
            for written in [&canonical, &address.grouped(), &address.qr_text()] {
                assert_eq!(written.parse::<ContactAddress>().as_ref(), Ok(&address));
            }
            // What is left without scheme and separators is the address itself.
            let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
            assert!(letters.to_ascii_lowercase().ends_with(&canonical));
        }
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control));
            if let AddressError::TwoWrong(first, second) = error {
                assert!(first.position < second.position && first.group <= second.group);
            }
        }
    }
}
