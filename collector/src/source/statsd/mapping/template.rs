//! Names and labels of a rule, with `$1`, `${1}` or `${name}` where something of the matched name goes.
//!
//! As in Go's `Regexp.Expand`: a name without braces is as long as it can be, so `$1_total` means a group called `1_total`. There that
//! silently gives nothing; here it is refused with the advice to write `${1}_total`. `$$` is a dollar.

/// A text and what is filled into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Text, and the number of the capture that follows it.
    pieces: Vec<(Box<str>, Option<usize>)>,
}

impl Template {
    /// Reads a template for a pattern with so many captures, some of which have names.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn parse(text: &str, captures: usize, names: &[Option<&str>]) -> Result<Template, String> {
        let mut pieces: Vec<(Box<str>, Option<usize>)> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                rest = after;
                continue;
            }
            let (name, after) =
                reference(after).ok_or_else(|| format!("`${after}` names no capture; a dollar is `$$`"))?;
            let capture = match name.parse::<usize>() {
                Ok(number) => (1..=captures).contains(&number).then(|| number - 1),
                Err(_) => names.iter().position(|of| *of == Some(name)),
            };
            let Some(capture) = capture else { return Err(no_capture(name, captures)) };
            pieces.push((std::mem::take(&mut literal).into(), Some(capture)));
            rest = after;
        }
        literal.push_str(rest);
        pieces.push((literal.into(), None));
        Ok(Template { pieces })
    }

    /// The text with the captures filled in.
    pub fn fill(&self, captures: &[&str]) -> String {
        let mut filled = String::new();
        for (text, capture) in &self.pieces {
            filled.push_str(text);
            filled.push_str(capture.and_then(|at| captures.get(at)).unwrap_or(&""));
        }
        filled
    }
}

/// The name behind a `$`, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}').filter(|(name, _)| !name.is_empty());
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn no_capture(name: &str, captures: usize) -> String {
    let digits = name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > 0 && digits < name.len() {
        let (number, rest) = name.split_at(digits);
        return format!("`${name}` names no capture; write `${{{number}}}{rest}`");
    }
    format!("`${name}` names no capture: the pattern has {captures}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_filled_in() {
        let check = |text: &str, expected: &str| {
            let filled = Template::parse(text, 2, &[None, Some("what")]).map(|template| template.fill(&["a", "b"]));
            assert_eq!(filled.unwrap_or_else(|mistake| mistake), expected, "{text}");
        };
        check("plain", "plain");
        check("", "");
        check("$1", "a");
        check("${1}_x.$2-y", "a_x.b-y");
        check("$what ${what}s", "b bs");
        check("5$$ $1$2", "5$ ab");
        check("$3", "`$3` names no capture: the pattern has 2");
        check("$0", "`$0` names no capture: the pattern has 2");
        check("$1_total", "`$1_total` names no capture; write `${1}_total`");
        check("$-", "`$-` names no capture; a dollar is `$$`");
        check("${", "`${` names no capture; a dollar is `$$`");
        check("a$", "`$` names no capture; a dollar is `$$`");
    }
}
