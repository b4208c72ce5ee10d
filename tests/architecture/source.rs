//! Rust source split into code, comments and literals.
//!
//! The rules of this directory need to know where code ends and text begins, and no more: this is a
//! lexer of one pass, not a parser.

/// One file. Lines count from 1.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The code; comments and literals are blank, and lines stay where they are.
    pub(crate) code: String,
    /// The comments of consecutive lines, joined, with the line of the first.
    pub(crate) comments: Vec<(usize, String)>,
    /// The contents of strings, with the line of the opening quote.
    pub(crate) literals: Vec<(usize, String)>,
}

/// A function with a body.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The line of the keyword `fn`.
    pub(crate) line: usize,
    /// Lines from the keyword to the closing brace.
    pub(crate) lines: usize,
    /// The parameters and the return type.
    pub(crate) signature: String,
}

impl Source {
    /// Splits the text of a file.
    pub(crate) fn of(text: &str) -> Self {
        let mut lexer = Lexer {
            rest: text,
            line: 1,
            last_comment: 0,
            source: Self::default(),
        };
        while !lexer.rest.is_empty() {
            lexer.step();
        }
        lexer.source
    }

    /// All functions with a body, those of traits and macros included.
    pub(crate) fn functions(&self) -> Vec<Function> {
        functions(&self.code)
    }

    /// The code before the tests at the end of the file.
    pub(crate) fn without_tests(&self) -> &str {
        let end = self.code.find("#[cfg(test)]\nmod tests");
        end.map_or(&self.code, |end| &self.code[..end])
    }
}

/// All functions with a body in blanked code.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, rest) in keyword(code, "fn") {
        let name = word(rest.trim_start());
        let Some(open) = body(rest) else { continue };
        let block = &rest[open..];
        let end = open + closing(block);
        if !name.is_empty() {
            found.push(Function {
                name,
                line: line_of(code, at),
                lines: rest[..end].matches('\n').count() + 1,
                signature: rest[..open].to_owned(),
            });
        }
    }
    found
}

/// The positions after each occurrence of a keyword, and the code that follows.
pub(crate) fn keyword<'a>(code: &'a str, word: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).filter_map(move |(at, found)| {
        let rest = &code[at + found.len()..];
        let apart = !code[..at].ends_with(in_word) && !rest.starts_with(in_word);
        apart.then_some((at, rest))
    })
}

/// The identifier at the start of a text.
pub(crate) fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The line of a position.
pub(crate) fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The length of the block that begins with the opening brace at the start of `code`.
pub(crate) fn closing(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The opening brace after a signature; `None` for a function without a body.
fn body(signature: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in signature.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' if depth == 0 => return Some(at),
            ';' | '}' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    /// The line of the last comment.
    last_comment: usize,
    source: Source,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let rest = self.rest;
        let in_word = self
            .source
            .code
            .ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if rest.starts_with("//") {
            self.comment(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.comment(rest.find("*/").map_or(rest.len(), |end| end + 2));
        } else if let Some((open, close, len)) = string(rest).filter(|_| !in_word) {
            let content = rest[open..len - close].to_owned();
            self.source.literals.push((self.line, content));
            self.blank(len);
        } else if let Some(len) = character(rest) {
            self.blank(len);
        } else {
            let next = rest.chars().next().unwrap_or_default();
            self.source.code.push(next);
            self.advance(next.len_utf8());
        }
    }

    fn comment(&mut self, len: usize) {
        let text = self.rest[..len].trim_end_matches("*/");
        let text = text.trim_start_matches(['/', '!', '*']);
        match self.source.comments.last_mut() {
            Some((_, block)) if self.last_comment + 1 == self.line => {
                block.push(' ');
                block.push_str(text.trim());
            }
            _ => {
                let block = (self.line, text.trim().to_owned());
                self.source.comments.push(block);
            }
        }
        self.last_comment = self.line;
        self.blank(len);
    }

    fn blank(&mut self, len: usize) {
        for c in self.rest[..len].chars() {
            self.source.code.push(if c == '\n' { '\n' } else { ' ' });
        }
        self.advance(len);
    }

    fn advance(&mut self, len: usize) {
        self.line += self.rest[..len].matches('\n').count();
        self.rest = &self.rest[len..];
    }
}

/// The lengths of a string's opening and closing marks, and of the whole, if one begins here.
fn string(text: &str) -> Option<(usize, usize, usize)> {
    let inner = text.strip_prefix(['b', 'c']).unwrap_or(text);
    if let Some(raw) = inner.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let open = text.len() - raw.len() + hashes + 1;
            let close = format!("\"{}", &raw[..hashes]);
            let end = text[open..].find(&close)?;
            return Some((open, close.len(), open + end + close.len()));
        }
    }
    let content = inner.strip_prefix('"')?;
    let open = text.len() - content.len();
    let mut escaped = false;
    for (at, c) in content.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((open, 1, open + at + 1)),
            _ => {}
        }
    }
    None
}

/// The length of a character literal, if one begins here; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let content = text.strip_prefix('\'')?;
    if let Some(escape) = content.strip_prefix('\\') {
        let mut chars = escape.char_indices();
        chars.next();
        let (end, _) = chars.find(|(_, c)| *c == '\'')?;
        return Some(2 + end + 1);
    }
    let first = content.chars().next()?;
    content[first.len_utf8()..]
        .starts_with('\'')
        .then_some(1 + first.len_utf8() + 1)
}

#[test]
fn lexer_separates_code_comments_and_literals() {
    let text = "// one\n// two\nlet a = \"x \\\" // y\"; // three\nlet b = ('\\'', '\"', &'a ());\n\
                let c = r#\"raw \" text\"#; /* four */ let d = b\"z\";\n";
    let source = Source::of(text);
    let comments: Vec<&str> = source.comments.iter().map(|(_, text)| &**text).collect();
    assert_eq!(comments, ["one two three", "four"]);
    let literals: Vec<&str> = source.literals.iter().map(|(_, text)| &**text).collect();
    assert_eq!(literals, ["x \\\" // y", "raw \" text", "z"]);
    assert_eq!(source.literals.last().map(|(line, _)| *line), Some(5));
    assert!(source.code.contains("&'a ()"));
    assert_eq!(source.code.matches('\n').count(), 5);
}

#[test]
fn functions_are_found_with_their_lines() {
    let text =
        "trait T { fn none(&self); }\nfn one(a: [u8; 2]) -> u8 {\n  if x { 1 } else { 2 }\n}\n";
    let found = Source::of(text).functions();
    let found: Vec<_> = found
        .iter()
        .map(|found| (&*found.name, found.line, found.lines))
        .collect();
    assert_eq!(found, [("one", 2, 3)]);
}
