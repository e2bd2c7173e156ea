package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// TLS is a client's side of a TLS connection. The files are read and checked
// when the configuration is parsed; their content is kept beside their names.
type TLS struct {
	Enabled            bool
	CAFile             string
	CertFile           string
	KeyFile            string
	ServerName         string
	InsecureSkipVerify bool

	CAPEM   []byte
	CertPEM []byte
	KeyPEM  Secret
}

// ErrNoCertificate says that a CA file holds no PEM certificate.
var ErrNoCertificate = errors.New("no PEM certificate in the CA file")

// Client returns what crypto/tls needs, or nil when TLS is not enabled. A
// Config that Parse accepted never gives an error.
func (t TLS) Client() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // the operator's explicit choice, warned about when parsed
	}
	if len(t.CAPEM) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(t.CAPEM) {
			return nil, ErrNoCertificate
		}
		c.RootCAs = pool
	}
	if len(t.CertPEM) > 0 {
		pair, err := tls.X509KeyPair(t.CertPEM, []byte(t.KeyPEM.Reveal()))
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Client returns what crypto/tls needs, or nil where its defaults do. A Config
// that Parse accepted never gives an error.
func (t OrgTLS) Client() (*tls.Config, error) {
	return TLS{Enabled: len(t.CAPEM) > 0, CAPEM: t.CAPEM}.Client()
}
