//! The functions that the fuzzer runs, compiled into this test.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "targets are test code: they report a finding by panic"
)]

#[path = "../../fuzz/targets/bulk_frame.rs"]
pub mod bulk_frame;
#[path = "../../fuzz/targets/cell.rs"]
pub mod cell;
#[path = "../../fuzz/targets/circuit.rs"]
pub mod circuit;
#[path = "../../fuzz/targets/contact_address.rs"]
pub mod contact_address;
#[path = "../../fuzz/targets/contact_card.rs"]
pub mod contact_card;
#[path = "../../fuzz/targets/contact_parts.rs"]
pub mod contact_parts;
#[path = "../../fuzz/targets/contact_plaintext.rs"]
pub mod contact_plaintext;
#[path = "../../fuzz/targets/descriptor.rs"]
pub mod descriptor;
#[path = "../../fuzz/targets/discv4_packet.rs"]
pub mod discv4_packet;
#[path = "../../fuzz/targets/envelope.rs"]
pub mod envelope;
#[path = "../../fuzz/targets/envelope_v5.rs"]
pub mod envelope_v5;
#[path = "../../fuzz/targets/file_answer.rs"]
pub mod file_answer;
#[path = "../../fuzz/targets/file_metadata.rs"]
pub mod file_metadata;
#[path = "../../fuzz/targets/file_offer.rs"]
pub mod file_offer;
#[path = "../../fuzz/targets/first_message.rs"]
pub mod first_message;
#[path = "../../fuzz/targets/hello.rs"]
pub mod hello;
#[path = "../../fuzz/targets/keystore_json.rs"]
pub mod keystore_json;
#[path = "../../fuzz/targets/letter.rs"]
pub mod letter;
#[path = "../../fuzz/targets/mail_request.rs"]
pub mod mail_request;
#[path = "../../fuzz/targets/mail_response.rs"]
pub mod mail_response;
#[path = "../../fuzz/targets/message.rs"]
pub mod message;
#[path = "../../fuzz/targets/onion_packet.rs"]
pub mod onion_packet;
#[path = "../../fuzz/targets/rlpx_frame.rs"]
pub mod rlpx_frame;
#[path = "../../fuzz/targets/rlpx_handshake.rs"]
pub mod rlpx_handshake;
#[path = "../../fuzz/targets/rpc_request.rs"]
pub mod rpc_request;
#[path = "../../fuzz/targets/scatter_shard.rs"]
pub mod scatter_shard;
#[path = "../../fuzz/targets/shard.rs"]
pub mod shard;
#[path = "../../fuzz/targets/shh5_packet.rs"]
pub mod shh5_packet;
#[path = "../../fuzz/targets/shh_packet.rs"]
pub mod shh_packet;
#[path = "../../fuzz/targets/talk_part.rs"]
pub mod talk_part;
