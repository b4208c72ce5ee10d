//! `whisht id address`: addresses of this node, as text and as QR codes; and `whisht id new --address`.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::new_file::{Readers, write_new};
use crate::cli::output::{Printer, one_line, say};
use crate::cli::remote_node::RemoteNode;
use crate::cli::words::{refuse_without_terminal, show_words};
use crate::cli::{Exit, Failure};
use crate::contact::address::ContactAddress;
use crate::contact::address_key::AddressKey;
use crate::contact::id::ContactId;
use crate::contact::mnemonic::Mnemonic;
use crate::contact::qr::QrMatrix;
use crate::contact::voice::VoiceWords;
use crate::identity::IdentityName;
use crate::node::AddressView;
use crate::shell::{random, seeded_rng};

/// Options of `whisht id address`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Show the address of this name [default: every address of this node]
    name: Option<String>,
    /// Show the address in groups of four characters
    #[arg(long)]
    groups: bool,
    /// Show a QR code on the terminal
    #[arg(long, requires = "name")]
    qr: bool,
    /// Write a QR code into this new file, as PNG with 8 pixels a module
    #[arg(long, value_name = "FILE", requires = "name")]
    png: Option<PathBuf>,
    /// Write a QR code into this new file, as SVG
    #[arg(long, value_name = "FILE", requires = "name")]
    svg: Option<PathBuf>,
}

/// Shows addresses.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    let mut own: Vec<AddressView> = node.call("whisht_addresses", json!([])).await?;
    if let Some(name) = &args.name {
        own.retain(|view| view.name == *name);
    }
    let printer = node.printer;
    if own.is_empty() {
        return none(printer, args.name.as_deref());
    }
    for view in &own {
        let address = address_of(view)?;
        if args.qr || args.png.is_some() || args.svg.is_some() {
            draw(printer, &args, &address)?;
        }
        show(printer, view, &address, args.groups)?;
    }
    Ok(Exit::Done)
}

fn none(printer: Printer, name: Option<&str>) -> Result<Exit, Failure> {
    if let Some(name) = name {
        return Err(Failure::usage(format_args!(
            "no address of this node is named `{}`; `whisht id address` shows all, and `whisht id new \
             --address NAME` makes one",
            one_line(name)
        )));
    }
    if !printer.json {
        printer.line("no addresses; make one with `whisht id new --address NAME`")?;
    }
    Ok(Exit::Done)
}

fn show(
    printer: Printer,
    view: &AddressView,
    address: &ContactAddress,
    in_groups: bool,
) -> Result<(), Failure> {
    let check = VoiceWords::of(&address.id());
    if printer.json {
        return Ok(printer.value(&json!({
            "name": view.name,
            "address": address.to_string(),
            "words": check.to_string(),
            "cards": view.cards,
            "obstacle": view.obstacle,
        }))?);
    }
    let text = if in_groups {
        address.grouped()
    } else {
        address.to_string()
    };
    printer.line(format_args!("{}: {text}", one_line(&view.name)))?;
    printer.line(format_args!(
        "  check words ({} bits: compare, do not type): {check}",
        VoiceWords::BITS
    ))?;
    match (&view.obstacle, view.cards) {
        (Some(obstacle), _) => printer.line(format_args!("  no card: {}", one_line(obstacle)))?,
        (None, 0) => printer.line("  no card is in the network yet")?,
        (None, cards) => printer.line(format_args!("  cards in the network: {cards}"))?,
    }
    Ok(())
}

/// Shows and writes the QR codes.
fn draw(printer: Printer, args: &Args, address: &ContactAddress) -> Result<(), Failure> {
    let code =
        QrMatrix::new(&address.qr_text()).map_err(|error| Failure::new(Exit::Failed, error))?;
    if let Some(path) = &args.svg {
        write_new(path, code.svg().as_bytes(), Readers::Owner)?;
    }
    if let Some(path) = &args.png {
        write_new(path, &png(&code)?, Readers::Owner)?;
    }
    if args.qr && !printer.json {
        let mut stdout = std::io::stdout().lock();
        for row in code.half_blocks() {
            writeln!(stdout, "{DARK_ON_LIGHT}{row}{RESET}")?;
        }
        stdout.flush()?;
    }
    Ok(())
}

/// The code as PNG, 8 pixels a module, one byte a pixel.
fn png(code: &QrMatrix) -> Result<Vec<u8>, Failure> {
    let side = code.side() * PNG_SCALE;
    let pixels: Vec<u8> = (0..side * side)
        .map(|at| (at % side / PNG_SCALE, at / side / PNG_SCALE))
        .map(|(column, row)| {
            if code.is_dark(column, row) {
                0
            } else {
                u8::MAX
            }
        })
        .collect();
    let mut bytes = Vec::new();
    let side = u32::try_from(side).map_err(|error| Failure::new(Exit::Failed, error))?;
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels));
    written.map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok(bytes)
}

/// Makes an address on the running node, from words if the user wants them.
pub(super) async fn new(
    node: &mut RemoteNode,
    name: &IdentityName,
    with_words: bool,
) -> Result<Exit, Failure> {
    if !with_words {
        let seed = random::<32>().map_err(|error| Failure::new(Exit::Failed, error))?;
        let key = AddressKey::from_seed(Zeroizing::new(seed));
        let view = create(node, name, &key).await?;
        show_new(node.printer, "made", &view)?;
        return Ok(Exit::Done);
    }
    refuse_without_terminal(node.printer.json)?;
    let mut rng = seeded_rng().map_err(|error| Failure::new(Exit::Failed, error))?;
    let words = Mnemonic::draw(&mut rng);
    let view = create(node, name, &AddressKey::from_mnemonic(&words)).await?;
    show_new(node.printer, "made", &view)?;
    say("these 12 words restore the address; they are shown once:");
    show_words(&words)?;
    say(WORDS_WARNING);
    Ok(Exit::Done)
}

/// Stores an address on the running node.
pub(in crate::cli) async fn create(
    node: &mut RemoteNode,
    name: &IdentityName,
    key: &AddressKey,
) -> Result<AddressView, Failure> {
    let seed = Zeroizing::new(hex::encode(key.seed().as_slice()));
    let params = json!([{"name": name.as_str(), "seed": seed.as_str()}]);
    node.call("whisht_newAddress", params).await
}

/// Shows an address that is new here.
pub(in crate::cli) fn show_new(
    printer: Printer,
    how: &str,
    view: &AddressView,
) -> Result<(), Failure> {
    let address = address_of(view)?;
    if printer.json {
        return show(printer, view, &address, false);
    }
    printer.line(format_args!(
        "{how} the address {}; others find you by",
        one_line(&view.name)
    ))?;
    printer.line(address)?;
    printer.line(format_args!(
        "check words ({} bits: compare, do not type): {}",
        VoiceWords::BITS,
        VoiceWords::of(&address.id())
    ))?;
    Ok(())
}

fn address_of(view: &AddressView) -> Result<ContactAddress, Failure> {
    let id = ContactId::from_hex(&view.id).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "the node answers with an id that is not 32 bytes; use the program of the node's version",
        )
    })?;
    Ok(ContactAddress::new(id))
}

/// Black on white, whatever the colours of the terminal: scanners need dark on light.
const DARK_ON_LIGHT: &str = "\u{1b}[30;107m";
const RESET: &str = "\u{1b}[0m";
/// Pixels on the side of a module.
const PNG_SCALE: usize = 8;
const WORDS_WARNING: &str = "write them on paper or learn them, and check yourself with `whisht practice`. \
                             The words restore the address, not its conversations; a thief of the words can \
                             pose as you. If you write letters with them, answers to you have no forward \
                             secrecy against them. Clear the terminal and its scroll-back now";
