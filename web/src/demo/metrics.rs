//! What the services count and time, as DogStatsD lines.

use std::fmt::Write;

use taffrail_collector::model::{SpanId, Timestamp};

use super::shop::{Order, Request, Story};
use super::speech::{Service, in_ms};

/// Lines of one request. With `dated` each carries the moment of its end, for history.
pub fn of(request: &Request, dated: bool) -> String {
    let ended = request.started.saturating_add(request.took);
    let stamp = if dated { format!("|T{}", ended.unix_nanos() / 1_000_000_000) } else { String::new() };
    let mut lines = String::new();
    let mut send = |service: Service, metric: &str, tags: &str, span: Option<SpanId>| {
        write!(lines, "{metric}{stamp}|#env:demo,service:{},host:{}{tags}", service.name(), service.host())
            .expect(STRING);
        if let Some(span) = span {
            write!(lines, ",trace_id:{},span_id:{span}", request.trace_id).expect(STRING);
        }
        lines.push('\n');
    };
    let (method, route) = request.page.route();
    let took = in_ms(request.took);
    let tags = format!(",method:{method},route:{route},status:{}", request.status);
    send(Service::Web, "web.requests:1|c", &tags, None);
    let tags = format!(",route:{route}");
    send(Service::Web, &format!("web.request.duration:{took}|ms"), &tags, Some(request.span_id));
    send(Service::Web, &format!("web.users:{}|s", request.user), "", None);
    if let Some(order) = &request.order {
        let outcome = order.payment.as_ref().map_or("error", |payment| payment.end.outcome());
        let tags = format!(",version:{},outcome:{outcome}", order.version);
        send(Service::Checkout, "checkout.orders:1|c", &tags, None);
        let tags = format!(",version:{}", order.version);
        let took = in_ms(order.took);
        send(Service::Checkout, &format!("checkout.order.duration:{took}|ms"), &tags, Some(order.span_id));
        send(Service::Checkout, &format!("checkout.order.value:{}|d", order.cents as f64 / 100.0), "", None);
        send(Service::Checkout, &format!("checkout.connections.used:{}|g", order.connections), "", None);
        send(Service::Checkout, &format!("checkout.connections.limit:{}|g", Order::CONNECTIONS), "", None);
        if let Some(payment) = &order.payment {
            let tags = format!(",outcome:{}", payment.end.outcome());
            send(Service::Payment, "payment.charges:1|c", &tags, None);
            let took = in_ms(payment.took);
            send(Service::Payment, &format!("payment.bank.duration:{took}|ms"), "", Some(payment.span_id));
        }
    }
    lines
}

/// One request more (`+1`) or fewer (`-1`) under way: a gauge by changes.
pub fn in_flight(change: &str) -> String {
    let web = Service::Web;
    format!("web.requests.in_flight:{change}|g|#env:demo,service:{},host:{}\n", web.name(), web.host())
}

/// The event of a deployment of `checkout`.
pub fn deployment(story: &Story, at: Timestamp) -> String {
    let version = story.version(at);
    let title = format!("checkout {version} deployed");
    let text = match at {
        _ if at == story.rollback => "rolled back: 1.5.0 ran out of connections",
        _ if at == story.bad_release => "orders are reserved one by one",
        _ => "smaller image, no change in behaviour",
    };
    let checkout = Service::Checkout;
    format!(
        "_e{{{},{}}}:{title}|{text}|d:{}|h:{}|s:deploy|t:info|#env:demo,service:{},version:{version}\n",
        title.len(),
        text.len(),
        at.unix_nanos() / 1_000_000_000,
        checkout.host(),
        checkout.name(),
    )
}

const STRING: &str = "a String takes everything";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use taffrail_collector::model::Resource;
    use taffrail_collector::source::statsd::{event, line};

    use super::*;
    use crate::demo::shop::Shop;

    #[test]
    fn every_line_is_one_that_the_collector_reads() {
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        let story = Story::new(start, Duration::from_secs(60), Duration::from_secs(60));
        let mut shop = Shop::new(story, 1, 30.0);
        for at in (0..300).map(|_| shop.request(start)) {
            for line in of(&at, true).lines().chain(of(&at, false).lines()).chain(in_flight("+1").lines()) {
                let metric = line::parse(line, line::Dialects::default())
                    .unwrap_or_else(|malformed| panic!("{malformed}: {line}"));
                assert_eq!(metric.unknown_fields, 0);
            }
        }
        for at in story.deployments() {
            let record =
                event::parse(deployment(&story, at).trim(), start, &Arc::new(Resource::default())).unwrap().record;
            assert_eq!(record.timestamp, at);
        }
    }
}
