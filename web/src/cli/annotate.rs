//! `taffrail annotate`: writes down that something happened (a deploy, an incident, a note), shows what was written down, and
//! removes it.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::terminal::{Format, harmless, print_line};
use super::{Outcome, ServerChoice, until_interrupted};

/// What happened.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Words like service=web, version=1.2.3, author=ann and link=https://ci/42 say more; all others are its text. Without --id an
annotation is a new one each time; with --id a second one takes the first one's place.

Examples:
  taffrail annotate deploy service=web version=1.2.3
  taffrail annotate incident service=db --at 10:05 --end now 'disk full on db-1'
  taffrail annotate --list --from now-7d
  taffrail annotate --delete 9f86d081884c7d65")]
pub struct AnnotateArguments {
    /// Of what kind: deploy, note, incident or any other word
    #[arg(value_name = "KIND", required_unless_present_any = ["list", "delete"])]
    kind: Option<String>,
    /// service=, version=, author=, link= and the text
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// When it happened: RFC 3339, Unix time or now-5m; now when absent
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// When it was over
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Its name, to correct it later
    #[arg(long)]
    id: Option<String>,
    /// Show what was written down
    #[arg(long, conflicts_with_all = ["words", "at", "end", "id", "delete"])]
    list: bool,
    /// Shown from when
    #[arg(long, value_name = "TIME", requires = "list", default_value = "now-1d")]
    from: String,
    /// Shown to when
    #[arg(long, value_name = "TIME", requires = "list")]
    to: Option<String>,
    /// Remove the annotation of this name
    #[arg(long, value_name = "ID", conflicts_with_all = ["kind", "words", "at", "end", "id"])]
    delete: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Writes down, shows or removes.
pub fn run(arguments: AnnotateArguments) -> Outcome {
    until_interrupted(async {
        let client = Client::new(&arguments.server.server)?;
        let format = Format::choose(arguments.json);
        if let Some(id) = &arguments.delete {
            let answer = client.delete(&format!("/api/v1/annotations/{}", path_segment(id))).await?;
            return Ok(print_line(&line(&answer["removed"], format))?);
        }
        if arguments.list {
            let mut parameters = vec![("from", arguments.from.as_str())];
            parameters.extend(arguments.to.as_deref().map(|to| ("to", to)));
            parameters.extend(arguments.kind.as_deref().map(|kind| ("kind", kind)));
            let answer = client.ask("/api/v1/annotations", &parameters).await?;
            for annotation in answer["annotations"].as_array().into_iter().flatten() {
                print_line(&line(annotation, format))?;
            }
            return Ok(());
        }
        let user = std::env::var("USER").unwrap_or_default();
        let parameters = said(&arguments, &user);
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = client.post("/api/v1/annotations", &parameters).await?;
        Ok(print_line(&line(&answer["annotation"], format))?)
    })
}

/// The words as the parameters of the request.
fn said(arguments: &AnnotateArguments, user: &str) -> Vec<(&'static str, String)> {
    const KNOWN: [&str; 4] = ["service", "version", "author", "link"];
    let mut parameters = vec![("kind", arguments.kind.clone().unwrap_or_default()), ("author", user.to_owned())];
    let mut text = Vec::new();
    for word in &arguments.words {
        let known = word.split_once('=').and_then(|(name, value)| {
            KNOWN.iter().find(|known| **known == name).map(|known| (*known, value.to_owned()))
        });
        match known {
            // The last one of a name counts, so that an author that is given beats the user's name.
            Some(said) => parameters.push(said),
            None => text.push(word.as_str()),
        }
    }
    parameters.push(("text", text.join(" ")));
    let given = [("time", &arguments.at), ("end", &arguments.end), ("id", &arguments.id)];
    parameters.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    parameters
}

/// An annotation's name as it may stand in a path.
pub fn path_segment(id: &str) -> String {
    // What cannot stand in a path is no name of an annotation: the server says that there is none.
    id.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '_' }).collect()
}

/// An annotation in a line.
pub fn line(annotation: &Value, format: Format) -> String {
    if format == Format::Json {
        return annotation.to_string();
    }
    let text = |name: &str| harmless(annotation[name].as_str().unwrap_or_default(), Format::Plain);
    let mut words = vec![text("time")];
    let end = text("end");
    if !end.is_empty() {
        words.push(format!("to {end}"));
    }
    words.push(text("kind"));
    words.extend([text("service"), text("version"), text("text")].into_iter().filter(|word| !word.is_empty()));
    let author = text("author");
    if !author.is_empty() {
        words.push(format!("by {author}"));
    }
    let links = annotation["links"].as_array().into_iter().flatten().filter_map(Value::as_str);
    words.extend(links.map(|link| harmless(link, Format::Plain)));
    words.push(format!("({})", text("id")));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: AnnotateArguments,
    }

    #[test]
    fn words_say_what_happened() {
        let check = |words: &[&str], expected: &[(&str, &str)]| {
            let line = Line::try_parse_from(["annotate"].iter().chain(words)).unwrap_or_else(|error| panic!("{error}"));
            let said = said(&line.arguments, "bob");
            let said: Vec<(&str, &str)> = said.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(said, expected, "{words:?}");
        };
        check(
            &["deploy", "service=web", "version=1.2", "new", "cart=x", "--at", "now-5m"],
            &[
                ("kind", "deploy"),
                ("author", "bob"),
                ("service", "web"),
                ("version", "1.2"),
                ("text", "new cart=x"),
                ("time", "now-5m"),
            ],
        );
        assert!(Line::try_parse_from(["annotate"]).is_err());
        assert!(Line::try_parse_from(["annotate", "--list"]).is_ok());
        assert!(Line::try_parse_from(["annotate", "--delete", "x", "deploy"]).is_err());
    }

    #[test]
    fn an_annotation_is_told_in_a_line() {
        let annotation = json!({
            "id": "d1", "time": "2026-05-01T10:00:00.000Z", "end": null, "kind": "deploy", "service": "web",
            "version": "1.2.3", "text": "hi\nho", "author": "ann", "links": ["https://ci/1"], "source": "api",
        });
        let expected = "2026-05-01T10:00:00.000Z deploy web 1.2.3 hi\\nho by ann https://ci/1 (d1)";
        assert_eq!(line(&annotation, Format::Plain), expected);
    }
}
