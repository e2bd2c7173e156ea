// Package ops serves the bridge's probes, metrics and status over HTTP.
//
// # What it does
//
// A Server answers /livez and /readyz with 200 or 503 and a JSON body that says
// why, /metrics in Prometheus's formats, /status with a JSON snapshot, and /
// with a plain index. A Collector turns a Snapshot, asked for at each scrape,
// into metrics. A Histogram collects durations between scrapes.
//
// # What it promises
//
// Start binds before it returns, so an address that cannot be had is an error
// of Start. Metric names, labels and help texts are kept in step with
// testdata/metrics.golden; a change of one is a change of an interface. Nothing
// but GET and HEAD is answered, nothing is changed by a request, and headers,
// reading and writing are bounded.
//
// # What it does not do
//
// It does not decide what is ready or alive: it asks the funcs of Config, which
// must answer from memory and not wait. It authenticates nobody and speaks no
// TLS. It registers nothing globally and serves no profiles.
//
// # Concurrency
//
// A Server owns one goroutine from Start to Shutdown, beside those of net/http
// for each connection. All funcs of Config and the snapshot func are called
// from several goroutines at once. Histogram is safe for concurrent use.
//
// # Errors
//
// Start returns a *ListenError or ErrStarted. Serving that ends by itself
// closes Done and is returned by Shutdown.
package ops
