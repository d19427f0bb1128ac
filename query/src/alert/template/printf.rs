//! Go's `fmt` verbs, as far as alert texts use them: `%v %s %q %d %f %e %g %t %x %X %c %%` with flags, width and precision.

use super::number::{exponent, general, shortest};
use super::value::Value;

/// The widest a verb may be padded to, and the most decimals.
const WIDTH_MAX: usize = 1_000;

/// `fmt.Sprint`: a space between two values when neither is text.
pub(super) fn print(values: &[Value]) -> String {
    let mut printed = String::new();
    let mut text_before = true;
    for value in values {
        let text = matches!(value, Value::Text(_));
        if !text && !text_before {
            printed.push(' ');
        }
        printed.push_str(&value.to_string());
        text_before = text;
    }
    printed
}

/// `fmt.Sprintf`. A verb that does not fit its value is printed as Go prints it (`%!d(float64=1.5)`).
pub(super) fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut printed = String::new();
    let mut values = values.iter();
    let mut characters = format.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '%' {
            printed.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = characters.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                '0' => spec.zero = true,
                ' ' => spec.space = true,
                _ => {}
            }
        }
        spec.width = digits(&mut characters)?.unwrap_or(0);
        if characters.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut characters)?.unwrap_or(0));
        }
        match characters.next() {
            None => printed.push_str("%!(NOVERB)"),
            Some('%') => printed.push('%'),
            Some(verb) => match values.next() {
                Some(value) => printed.push_str(&spec.format(verb, value)),
                None => printed.push_str(&format!("%!{verb}(MISSING)")),
            },
        }
    }
    let extra: Vec<String> = values.map(|value| format!("{}={value}", value.kind())).collect();
    if !extra.is_empty() {
        printed.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(printed)
}

fn digits(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, String> {
    let mut number = None;
    while let Some(digit) = characters.next_if(char::is_ascii_digit) {
        let next = number.unwrap_or(0) * 10 + digit.to_digit(10).unwrap_or(0) as usize;
        if next > WIDTH_MAX {
            return Err(format!("widths and precisions end at {WIDTH_MAX}"));
        }
        number = Some(next);
    }
    Ok(number)
}

#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    zero: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn format(&self, verb: char, value: &Value) -> String {
        let cut = |text: &str| match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text.to_owned(),
        };
        let precision = self.precision.unwrap_or(6);
        let (text, numeric) = match (verb, value) {
            ('v', Value::Float(number)) => (self.general(*number), true),
            ('v', Value::Nil) => ("<nil>".to_owned(), false),
            ('v' | 's', Value::Text(text)) => (cut(text), false),
            ('q', Value::Text(text)) => (format!("{text:?}"), false),
            ('x', Value::Text(text)) => (text.bytes().map(|byte| format!("{byte:02x}")).collect(), false),
            ('v' | 't', Value::Bool(truth)) => (truth.to_string(), false),
            ('v' | 'd', Value::Int(number)) => (number.to_string(), true),
            ('x', Value::Int(number)) => (signed_hex(*number), true),
            ('X', Value::Int(number)) => (signed_hex(*number).to_uppercase(), true),
            ('c', Value::Int(number)) => {
                (u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or('\u{FFFD}').to_string(), false)
            }
            ('f' | 'F', Value::Float(number)) if number.is_finite() => (format!("{number:.precision$}"), true),
            ('f' | 'F' | 'e', Value::Float(number)) => (exponent(*number, precision), number.is_finite()),
            ('g', Value::Float(number)) => (self.general(*number), number.is_finite()),
            ('s', Value::Moment(_) | Value::Span(_) | Value::List(_) | Value::Map(_) | Value::Labels(_)) | ('v', _) => {
                (value.to_string(), false)
            }
            (verb, value) => (format!("%!{verb}({}={value})", value.kind()), false),
        };
        self.pad(text, numeric)
    }

    fn general(&self, number: f64) -> String {
        self.precision.map_or_else(|| shortest(number), |precision| general(number, precision))
    }

    fn pad(&self, text: String, numeric: bool) -> String {
        let signed = numeric && !text.starts_with(['-', '+']);
        let text = match (signed, self.plus, self.space) {
            (true, true, _) => format!("+{text}"),
            (true, false, true) => format!(" {text}"),
            _ => text,
        };
        let missing = self.width.saturating_sub(text.chars().count());
        if missing == 0 {
            text
        } else if self.left {
            text + &" ".repeat(missing)
        } else if self.zero && numeric {
            let sign = usize::from(text.starts_with(['-', '+', ' ']));
            format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
        } else {
            " ".repeat(missing) + &text
        }
    }
}

fn signed_hex(number: i64) -> String {
    if number < 0 { format!("-{:x}", number.unsigned_abs()) } else { format!("{number:x}") }
}
