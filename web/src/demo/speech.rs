//! What the three services say of a request in their logs, before it takes on each one's format.

use std::time::Duration;

use serde_json::{Value, json};
use taffrail_collector::model::{SpanId, TraceId};

use super::shop::{BANK_TIMEOUT, Order, PaymentEnd, Request};

/// The shop's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Takes the requests.
    Web,
    /// Keeps the orders.
    Checkout,
    /// Charges the cards.
    Payment,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// When, from the request's start.
    pub after: Duration,
    /// By whom.
    pub service: Service,
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// In words.
    pub message: String,
    /// In figures.
    pub fields: Vec<(&'static str, Value)>,
    /// The request's trace.
    pub trace_id: TraceId,
    /// The service's part of it.
    pub span_id: SpanId,
    /// Lines below the message: a stack trace. Mostly empty.
    pub below: &'static str,
}

impl Service {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Service::Web => "web",
            Service::Checkout => "checkout",
            Service::Payment => "payment",
        }
    }

    /// The host that it runs on.
    pub fn host(self) -> &'static str {
        match self {
            Service::Web => "shop-web-1",
            Service::Checkout => "shop-app-1",
            Service::Payment => "shop-app-2",
        }
    }
}

/// Everything said of a request, in the order of time.
pub fn of(request: &Request) -> Vec<Said> {
    let mut said = Vec::new();
    if request.cache_miss {
        let message = format!("cache miss for product {}", request.product);
        let fields = vec![("product_id", json!(request.product))];
        said.push(by_web(request, Duration::ZERO, "debug", message, fields));
    }
    if let Some(order) = &request.order {
        checkout(request, order, &mut said);
    }
    let (method, route) = request.page.route();
    let path = route.replace(":id", &request.product.to_string());
    let took_ms = in_ms(request.took);
    let level = match request.status {
        500.. => "error",
        400.. => "warn",
        _ => "info",
    };
    let fields = vec![
        ("http.method", json!(method)),
        ("http.route", json!(route)),
        ("http.status", json!(request.status)),
        ("duration_ms", json!(took_ms)),
        ("user_id", json!(request.user)),
    ];
    let message = format!("{method} {path} {} in {took_ms} ms", request.status);
    said.push(by_web(request, request.took, level, message, fields));
    said.sort_by_key(|said| said.after);
    said
}

fn by_web(
    request: &Request,
    after: Duration,
    level: &'static str,
    message: String,
    fields: Vec<(&'static str, Value)>,
) -> Said {
    let (trace_id, span_id) = (request.trace_id, request.span_id);
    Said { after, service: Service::Web, level, message, fields, trace_id, span_id, below: "" }
}

fn checkout(request: &Request, order: &Order, said: &mut Vec<Said>) {
    let mut say = |after, level, message: String, mut fields: Vec<(&'static str, Value)>| {
        fields.extend([("order_id", json!(order.id)), ("version", json!(order.version))]);
        said.push(Said {
            after,
            service: Service::Checkout,
            level,
            message,
            fields,
            trace_id: request.trace_id,
            span_id: order.span_id,
            below: "",
        });
    };
    let euros = order.cents as f64 / 100.0;
    say(
        order.after,
        "info",
        "order received".to_owned(),
        vec![("user_id", json!(request.user)), ("amount", json!(euros))],
    );
    let end = order.after + order.took;
    let took = ("duration_ms", json!(in_ms(order.took)));
    let Some(payment) = &order.payment else {
        let error = format!("connection pool exhausted: {0} of {0} in use", Order::CONNECTIONS);
        say(end, "error", "order failed: cannot reserve stock".to_owned(), vec![("error", json!(error)), took]);
        return;
    };
    match payment.end {
        PaymentEnd::Approved => say(end, "info", "order placed".to_owned(), vec![took]),
        PaymentEnd::Declined(reason) => {
            say(end, "warn", "order not paid".to_owned(), vec![("reason", json!(reason)), took]);
        }
        PaymentEnd::TimedOut => {
            say(end, "error", "order failed: payment did not answer".to_owned(), vec![took]);
        }
    }
    let mut say = |after, level, message, below| {
        said.push(Said {
            after,
            service: Service::Payment,
            level,
            message,
            fields: Vec::new(),
            trace_id: request.trace_id,
            span_id: payment.span_id,
            below,
        });
    };
    say(
        payment.after,
        "info",
        format!("Charging {euros:.2} EUR to card ****{} for order {}", payment.card, order.id),
        "",
    );
    let (end, took_ms) = (payment.after + payment.took, payment.took.as_millis());
    match payment.end {
        PaymentEnd::Approved => say(end, "info", format!("Charge of order {} approved in {took_ms} ms", order.id), ""),
        PaymentEnd::Declined(reason) => {
            say(end, "warn", format!("Charge of order {} declined: {reason}", order.id), "")
        }
        PaymentEnd::TimedOut => say(
            end,
            "error",
            format!(
                "Charge of order {} failed: the bank did not answer within {} ms",
                order.id,
                BANK_TIMEOUT.as_millis()
            ),
            STACK_TRACE,
        ),
    }
}

/// Milliseconds to a tenth.
pub fn in_ms(span: Duration) -> f64 {
    (span.as_secs_f64() * 10_000.0).round() / 10.0
}

const STACK_TRACE: &str = "java.net.SocketTimeoutException: Read timed out
\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:288)
\tat java.base/java.net.Socket$SocketInputStream.read(Socket.java:1099)
\tat shop.payment.BankClient.charge(BankClient.java:87)
\tat shop.payment.PaymentService.charge(PaymentService.java:41)
Caused by: java.io.IOException: no answer from bank.example:443
\t... 12 more";
