package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"io/fs"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// secretValue is the text of every secret in the tests: no message may hold it.
const secretValue = "hunter2-do-not-show"

// testFiles are the files that the tests' Env has; made once, since keys cost.
var testFiles = sync.OnceValue(func() map[string][]byte {
	client, key := certificate(), keyPEM()
	return map[string][]byte{
		"/etc/bridge/org.key": rsaPEM(),
		"/etc/bridge/locked":  lockedPEM(),
		"conf/token":          []byte(secretValue + "\n"),
		"/etc/ca.pem":         certificate().cert,
		"/etc/not.pem":        []byte("this is not PEM\n"),
		"/etc/client.pem":     client.cert,
		"/etc/client.key":     client.key,
		"/etc/other.key":      key,
		"/etc/password":       []byte(secretValue + "\r\n"),
		"/etc/two-lines":      []byte("a\n\n"),
		"conf/relative":       []byte(secretValue),
	}
})

// testEnv is a world with a few variables and files.
func testEnv() Env {
	variables := map[string]string{
		"SF_SECRET": secretValue, "SF_CLIENT_ID": "3MVG9", "SF_USERNAME": "bridge@acme.example",
		"EMPTY": "", "LANES": "7", "TRUE": "TRUE", "BROKERS": "a:9092, b:9093", "INJECT": "x\nlanes: 9 ${env:SF_SECRET}",
	}
	return Env{
		Lookup: func(name string) (string, bool) {
			value, ok := variables[name]
			return value, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			if path == "/denied" {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
			}
			data, ok := testFiles()[path]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return data, nil
		},
	}
}

type pair2 struct{ cert, key []byte }

func certificate() pair2 {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	return pair2{cert: encode("CERTIFICATE", cert), key: encode("PRIVATE KEY", der)}
}

func keyPEM() []byte { return certificate().key }

func rsaPEM() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

// lockedPEM is a key whose password is secretValue.
func lockedPEM() []byte {
	block, _ := pem.Decode(rsaPEM())
	//lint:ignore SA1019 such keys exist, and the library that reads them is the one that makes them
	locked, err := x509.EncryptPEMBlock(rand.Reader, block.Type, block.Bytes, []byte(secretValue), x509.PEMCipherAES256) //nolint:staticcheck // such keys are read, so one is made
	must(err)
	return pem.EncodeToMemory(locked)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// must is for what can only fail without entropy.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s differs (go test -update writes it)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// render is the problems as the user sees them, a line each.
func render(problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// minimal is a valid document of which the tests change a line.
const minimal = `name: acme
org:
  login_url: https://acme.my.salesforce.com
  auth:
    type: client_credentials
    client_id: 3MVG9
    client_secret: ${env:SF_SECRET}
streams:
  - channel: /data/AccountChangeEvent
kafka:
  brokers: [localhost:9092]
registry:
  url: http://localhost:8081
`

// parse is Parse of a document that has no problems.
func parse(t *testing.T, document string) *Config {
	t.Helper()
	c, problems := Parse([]byte(document), "conf/bridge.yaml", testEnv())
	if len(problems) > 0 {
		t.Fatalf("unexpected problems:\n%s", render(problems))
	}
	return c
}
