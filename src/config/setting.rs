//! One declaration of each setting.
//!
//! The macro `settings!` turns a list of rows into a struct of options, the order of precedence, and
//! a [`Setting`] for each row. The file reader ([`super::file`]), the flags and variables of the command
//! line, and the table in docs/operating.md are all made from the [`Setting`]s, so none of them has a
//! list of its own. This module does not know which settings exist.

use core::fmt;
use core::ops::RangeInclusive;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use toml::de::DeValue;

use super::Settings;
use super::value::{self, BadValue};

/// Declares the settings of one table of the file. A row is:
///
/// ```text
/// /// Maximum number of peers                             help text, and documentation of the field
/// max_peers: usize = 25;                                  field, type, default value if it is fixed
///     "max-peers" "max-peers" "WHISHT_MAX_PEERS";         key, flag, variable ("" for none)
///     Count(value::PEERS), "COUNT" "25";                  reader, placeholder, default as text
///     "";                                                 what docs/operating.md adds
/// ```
///
/// For each row with a default value the struct gets a method of the field's name, which returns the
/// value or the default. Text of a default value is TOML; without a value it is in words.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $name:ident, $table:literal, $heading:literal, $part:expr;
        $(
            $(#[doc = $help:literal])+
            $field:ident: $type:ty $(= $default:expr)?;
                $key:literal $flag:literal $env:literal;
                $reader:expr, $placeholder:literal $shown:literal;
                $page:literal;
        )*
        $( tables { $( $(#[$child_about:meta])* $child:ident: $child_type:ty, )* } )?
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            $( $(#[doc = $help])+ pub $field: Option<$type>, )*
            $( $( $(#[$child_about])* pub $child: $child_type, )* )?
        }

        impl $name {
            /// Completes these settings with weaker ones: a value of `weaker` is taken where these
            /// have none.
            #[must_use]
            pub fn or(self, weaker: Self) -> Self {
                Self {
                    $( $field: self.$field.or(weaker.$field), )*
                    $( $( $child: self.$child.or(weaker.$child), )* )?
                }
            }

            $( $(
                #[doc = concat!("The value of `", $key, "`; by default `", $shown, "`.")]
                #[must_use]
                pub fn $field(&self) -> $type {
                    self.$field.as_ref().map_or_else(|| $default, Clone::clone)
                }
            )? )*

            /// The declarations, in the order in which help and documents show them.
            pub(in crate::config) fn declared() -> $crate::config::setting::Table {
                use $crate::config::setting::{Names, Setting, Table};
                let part: fn(&mut $crate::config::Settings) -> &mut $name = $part;
                Table {
                    name: $table,
                    heading: $heading,
                    settings: vec![ $(
                        Setting::new::<$type>(
                            Names { key: $key, flag: $flag, env: $env, placeholder: $placeholder },
                            [concat!($($help),+), $page],
                            ($shown, settings!(@given $($default)?)),
                            $reader,
                            move |all, value| part(all).$field = Some(value),
                        ),
                    )* ],
                }
            }
        }
    };
    (@given) => { false };
    (@given $default:expr) => { true };
}

pub(super) use settings;

/// The settings of one table of the file.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Name of the table, as in `[rpc]`; empty for settings outside of tables.
    pub(crate) name: &'static str,
    /// Heading of its flags in help texts; empty for none.
    pub(crate) heading: &'static str,
    /// The settings, in the order of help and documents.
    pub(crate) settings: Vec<Setting>,
}

/// The names of a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// The key in the file, with its table: `rpc.http`.
    pub(crate) key: &'static str,
    /// The flag, without hyphens in front.
    pub(crate) flag: &'static str,
    /// The environment variable; empty if there is none.
    pub(crate) env: &'static str,
    /// The placeholder of the value in help texts.
    pub(crate) placeholder: &'static str,
}

/// A setting: its names, its texts, and how its value is read.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) names: Names,
    /// Which words the command line accepts.
    pub(crate) form: Form,
    help: &'static str,
    page: &'static str,
    default: &'static str,
    /// Whether the default is a value in TOML, rather than words.
    fixed: bool,
    set: Arc<SetValue>,
}

type SetValue = dyn Fn(&mut Settings, RawValue<'_, '_>) -> Result<(), BadValue> + Send + Sync;

impl Setting {
    pub(super) fn new<T: 'static>(
        names: Names,
        [help, page]: [&'static str; 2],
        (default, fixed): (&'static str, bool),
        reader: impl Reader<T> + Send + Sync + 'static,
        put: impl Fn(&mut Settings, T) + Send + Sync + 'static,
    ) -> Self {
        Self {
            names,
            form: reader.form(),
            help: help.trim_start(),
            page,
            default,
            fixed,
            set: Arc::new(move |settings, input| {
                put(settings, reader.read(input)?);
                Ok(())
            }),
        }
    }

    /// Reads a value into the settings.
    ///
    /// # Errors
    ///
    /// [`BadValue`] names the rule that the value breaks.
    pub(crate) fn set(
        &self,
        settings: &mut Settings,
        input: RawValue<'_, '_>,
    ) -> Result<(), BadValue> {
        (self.set)(settings, input)
    }

    /// The help text of the flag, with the default.
    pub(crate) fn help(&self) -> String {
        let repeated = match self.form {
            Form::List | Form::Lines => "; may be repeated",
            Form::Number | Form::One | Form::Path | Form::Secret | Form::Switch => "",
        };
        let default = if self.fixed {
            let plain = self.default.replace(['"', '[', ']', '{', '}'], "");
            if plain.is_empty() {
                "none".to_owned()
            } else {
                plain
            }
        } else {
            self.default.to_owned()
        };
        format!("{}{repeated} [default: {default}]", self.help)
    }

    /// The help text alone, and what the documents add; in Markdown.
    pub(crate) const fn texts(&self) -> [&'static str; 2] {
        [self.help, self.page]
    }

    /// The row of the table in docs/operating.md.
    #[cfg(test)]
    pub(super) fn row(&self) -> String {
        let Names { key, flag, env, .. } = self.names;
        let env = if env.is_empty() {
            String::new()
        } else {
            format!(", `{env}`")
        };
        let default = if self.fixed {
            format!("`{}`", self.default)
        } else {
            self.default.to_owned()
        };
        let page = if self.page.is_empty() {
            String::new()
        } else {
            format!(". {}", self.page)
        };
        format!(
            "| `{key}` | `--{flag}`{env} | {default} | {}{page} |\n",
            self.help
        )
    }

    /// The default as TOML, if it is a value.
    pub(crate) fn default_value(&self) -> Option<&'static str> {
        self.fixed.then_some(self.default)
    }

    /// The default: a value in TOML, or words.
    pub(crate) const fn default_text(&self) -> &'static str {
        self.default
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Setting").field(&self.names.key).finish()
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// A list whose items contain no comma: commas separate them in a variable.
    List,
    /// A list of lines, which may contain commas: no variable, and one flag for each.
    Lines,
    /// A number.
    Number,
    /// A single value.
    One,
    /// A path, in the encoding of the system.
    Path,
    /// A single value that is not shown.
    Secret,
    /// `true` or `false`; the flag alone means `true`.
    Switch,
}

/// A value from one of the sources.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawValue<'a, 'b> {
    /// Values of a flag or of a variable.
    Texts(&'a [OsString]),
    /// An entry of the file.
    Toml(&'a DeValue<'b>),
}

impl<'a> RawValue<'a, '_> {
    fn text(self) -> Result<&'a str, BadValue> {
        let text = match self {
            Self::Texts(texts) => texts.last().and_then(|text| text.to_str()),
            Self::Toml(value) => value.as_str(),
        };
        text.ok_or_else(|| BadValue::new("expected a text in quotes"))
    }
}

/// Reads values of one type.
pub(super) trait Reader<T> {
    /// How the value is written.
    fn form(&self) -> Form;

    /// Reads the value.
    fn read(&self, input: RawValue<'_, '_>) -> Result<T, BadValue>;
}

/// A single value, read from its text.
pub(super) struct One<T>(pub(super) fn(&str) -> Result<T, BadValue>);

impl<T> Reader<T> for One<T> {
    fn form(&self) -> Form {
        Form::One
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<T, BadValue> {
        (self.0)(input.text()?)
    }
}

/// A single value that errors and help texts must not show.
pub(super) struct SecretValue<T>(pub(super) fn(&str) -> Result<T, BadValue>);

impl<T> Reader<T> for SecretValue<T> {
    fn form(&self) -> Form {
        Form::Secret
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<T, BadValue> {
        (self.0)(input.text()?)
    }
}

/// A list of values.
pub(super) struct List<T>(pub(super) fn(&str) -> Result<T, BadValue>);

impl<T> Reader<Vec<T>> for List<T> {
    fn form(&self) -> Form {
        Form::List
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<Vec<T>, BadValue> {
        list(input, self.0)
    }
}

/// A list of lines.
pub(super) struct Lines<T>(pub(super) fn(&str) -> Result<T, BadValue>);

impl<T> Reader<Vec<T>> for Lines<T> {
    fn form(&self) -> Form {
        Form::Lines
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<Vec<T>, BadValue> {
        list(input, self.0)
    }
}

fn list<T>(
    input: RawValue<'_, '_>,
    read: fn(&str) -> Result<T, BadValue>,
) -> Result<Vec<T>, BadValue> {
    match input {
        RawValue::Texts(texts) => {
            let text = |text: &OsString| read(&text.to_string_lossy());
            texts.iter().map(text).collect()
        }
        RawValue::Toml(value) => {
            let items = value
                .as_array()
                .ok_or_else(|| BadValue::new("expected a list of texts, [\"..\", \"..\"]"))?;
            let item = |item: &DeValue<'_>| {
                let text = RawValue::Toml(item).text()?;
                read(text).map_err(|error| BadValue::new(format_args!("{text:?}: {error}")))
            };
            items.iter().map(|value| item(value.get_ref())).collect()
        }
    }
}

/// `true` or `false`.
pub(super) struct Switch;

impl Reader<bool> for Switch {
    fn form(&self) -> Form {
        Form::Switch
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<bool, BadValue> {
        let read = match input {
            RawValue::Texts(_) => input.text()?.parse().ok(),
            RawValue::Toml(value) => value.as_bool(),
        };
        read.ok_or_else(|| BadValue::new("expected true or false"))
    }
}

/// A whole number within bounds.
pub(super) struct Count(pub(super) RangeInclusive<usize>);

impl Reader<usize> for Count {
    fn form(&self) -> Form {
        Form::Number
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<usize, BadValue> {
        let number = match input {
            RawValue::Texts(_) => input.text()?.parse().ok(),
            RawValue::Toml(value) => value
                .as_integer()
                .and_then(|integer| i128::from_str_radix(integer.as_str(), integer.radix()).ok()),
        };
        // A text that is not a number is outside of all bounds.
        value::count(number.unwrap_or(-1), self.0.clone())
    }
}

/// A port from 1 upwards.
pub(super) struct Port;

impl Reader<u16> for Port {
    fn form(&self) -> Form {
        Form::Number
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<u16, BadValue> {
        let port = Count(1..=usize::from(u16::MAX)).read(input)?;
        u16::try_from(port).map_err(BadValue::new)
    }
}

/// A number, which may have a fraction.
pub(super) struct Number(pub(super) fn(f64) -> Result<f64, BadValue>);

impl Reader<f64> for Number {
    fn form(&self) -> Form {
        Form::Number
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<f64, BadValue> {
        let digits = match input {
            RawValue::Texts(_) => input.text()?,
            RawValue::Toml(DeValue::Float(float)) => float.as_str(),
            RawValue::Toml(DeValue::Integer(integer)) => integer.as_str(),
            RawValue::Toml(_) => "",
        };
        // The check refuses what is not a number.
        (self.0)(digits.parse().unwrap_or(f64::NAN))
    }
}

/// The path of a file or directory.
pub(super) struct Place;

impl Reader<PathBuf> for Place {
    fn form(&self) -> Form {
        Form::Path
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<PathBuf, BadValue> {
        match input {
            RawValue::Texts([.., path]) => Ok(path.into()),
            RawValue::Texts([]) | RawValue::Toml(_) => Ok(input.text()?.into()),
        }
    }
}
