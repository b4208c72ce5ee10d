//! A document, and the commands in it.

use std::fs;

/// A page of this repository.
pub(super) struct Page {
    name: &'static str,
    text: String,
}

impl Page {
    pub(super) fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, text }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The commands to run, in order: all but those that are skipped for a reason.
    pub(super) fn without(&self, skipped: &[(&str, &str)]) -> Vec<String> {
        let all = commands(&self.text);
        for (command, reason) in skipped {
            let printed = all.iter().any(|line| is(line, command));
            assert!(
                printed,
                "{} does not print `{command}` ({reason})",
                self.name
            );
        }
        let kept = |line: &String| !skipped.iter().any(|(command, _)| is(line, command));
        let kept: Vec<String> = all.into_iter().filter(kept).collect();
        assert!(!kept.is_empty(), "{} prints no command", self.name);
        kept
    }
}

/// Whether a line is this command, with or without a comment.
fn is(line: &str, command: &str) -> bool {
    line.split(" #").next().map(str::trim) == Some(command)
}

/// The commands in the code blocks of a text: the lines with a prompt in a block `console`, and every
/// line of a block without a language. Continued lines are joined.
pub(super) fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", "");
    let mut language = None;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if let Some(fence) = line.strip_prefix("```") {
            language = language.is_none().then_some(fence);
            continue;
        }
        match language {
            Some("console") => {
                let prompts = ["$ ", "# "].iter();
                found.extend(prompts.filter_map(|prompt| line.strip_prefix(prompt)));
            }
            Some("") if starts_command(line) => found.push(line),
            _ => {}
        }
    }
    found
        .into_iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Whether a line of a block without a language is a command, and not an example of something else.
fn starts_command(line: &str) -> bool {
    let word = line.split(' ').next().unwrap_or_default();
    ["cargo", "echo", "export", "whisht"].contains(&word)
}

/// The first block of TOML that contains a text.
pub(super) fn toml_block<'a>(text: &'a str, part: &str) -> &'a str {
    let blocks = text.split("```toml\n").skip(1);
    let mut blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
    let found = blocks.find(|block| block.contains(part));
    found.unwrap_or_else(|| panic!("no block of TOML has {part:?}"))
}
