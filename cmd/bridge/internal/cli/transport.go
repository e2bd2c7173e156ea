package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
)

// orgTransport is the way to Salesforce for every request, of OAuth, REST and
// CometD: through the configured proxy or that of the environment, trusting the
// configured authorities. Its limits are those that a connect which is held for
// minutes and then brings megabytes needs.
func orgTransport(org config.Org) (*http.Transport, error) {
	trust, err := org.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("org.tls: %w", err)
	}
	proxy, err := proxyOf(org)
	if err != nil {
		return nil, fmt.Errorf("org.proxy_url: %w", err)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       trust,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ReadBufferSize:        64 << 10,
	}, nil
}

// Errors of proxies. What net/http and net/url say would repeat the address, which
// may hold a password.
var (
	errProxyURL = errors.New("it is no URL")
	errProxyEnv = errors.New("the proxy in HTTPS_PROXY or HTTP_PROXY is no URL; try: http://host:port, or org.proxy_url")
)

func proxyOf(org config.Org) (func(*http.Request) (*url.URL, error), error) {
	if org.ProxyURL.Empty() {
		return proxyFromEnvironment, nil
	}
	u, err := url.Parse(org.ProxyURL.Reveal())
	if err != nil {
		return nil, errProxyURL
	}
	return http.ProxyURL(u), nil
}

func proxyFromEnvironment(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errProxyEnv
	}
	return u, nil
}
