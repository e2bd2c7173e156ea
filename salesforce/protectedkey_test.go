package salesforce_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

const keyPassword = "correct horse"

func keyText(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func plainKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := salesforce.ParsePrivateKey(keyText(t, "plain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestProtectedKeys reads what openssl wrote, with the right password, with none,
// and with another.
func TestProtectedKeys(t *testing.T) {
	want := plainKey(t)
	for _, name := range []string{
		"pbes2-aes256.pem", "pbes2-aes128-sha1.pem", "pbes2-aes192-sha512.pem", "pbes2-aes256-sha224.pem",
		"pbes2-aes256-sha384.pem", "pbes2-des3.pem", "dek-aes256.pem", "dek-des3.pem", "plain.pem",
	} {
		text := keyText(t, name)
		got, err := salesforce.ParseProtectedKey(text, keyPassword)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "plain.pem" {
			continue
		}
		for password, part := range map[salesforce.Secret]string{
			"": "protected by a password", "correct horse\n": "does not open", "hunter2-hunter2": "does not open",
		} {
			_, err := salesforce.ParseProtectedKey(text, password)
			var keyError *salesforce.KeyError
			if !errors.As(err, &keyError) || !keyError.Protected || !strings.Contains(err.Error(), part) {
				t.Errorf("%s with the password %q: %v", name, password.Reveal(), err)
			}
			checkSilent(t, err, "correct horse\n", "hunter2", string(text[60:90]))
		}
	}
}

// TestWrongPasswords: one wrong password in 256 makes a padding that fits; that
// must still be told as a wrong password.
func TestWrongPasswords(t *testing.T) {
	text := keyText(t, "pbes2-aes256.pem")
	for i := range 700 {
		_, err := salesforce.ParseProtectedKey(text, salesforce.Secret(fmt.Sprint("wrong", i)))
		if err == nil || !strings.Contains(err.Error(), "the password does not open the private key") {
			t.Fatalf("password %d: %v", i, err)
		}
	}
}

func TestProtectedKeysThatAreNotRead(t *testing.T) {
	for name, parts := range map[string][]string{
		"scrypt.pem":    {"scrypt", "not spoken here", "-v2 aes-256-cbc"},
		"pbes1.pem":     {"the scheme 1.2.840.113549.1.12.1.3", "openssl pkcs8 -topk8"},
		"pbes2-cfb.pem": {"the cipher 2.16.840.1.101.3.4.1.44"},
		"pbes2-ec.pem":  {"not an RSA key", "RS256"},
	} {
		_, err := salesforce.ParseProtectedKey(keyText(t, name), keyPassword)
		var keyError *salesforce.KeyError
		if !errors.As(err, &keyError) {
			t.Fatalf("%s: %v", name, err)
		}
		mustContain(t, err.Error(), parts...)
	}
	for name, body := range map[string][]byte{
		"nothing": nil, "no ASN.1": []byte("any"), "cut": pemBody(t, "pbes2-aes256.pem")[:1000],
		"more after it": append(pemBody(t, "pbes2-aes256.pem"), 0),
	} {
		_, err := salesforce.ParseProtectedKey(pemText("ENCRYPTED PRIVATE KEY", body), keyPassword)
		if err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIterations: a key file cannot ask for an hour of work.
func TestIterations(t *testing.T) {
	var key struct {
		Algorithm struct {
			OID    asn1.ObjectIdentifier
			Params struct {
				KDF struct {
					OID    asn1.ObjectIdentifier
					Params struct {
						Salt       []byte
						Iterations int
						PRF        asn1.RawValue
					}
				}
				Cipher asn1.RawValue
			}
		}
		Data []byte
	}
	if rest, err := asn1.Unmarshal(pemBody(t, "pbes2-aes192-sha512.pem"), &key); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	for iterations, part := range map[int]string{10_000: "", 10_000_001: "10000001 iterations", 0: "0 iterations", -1: "-1 iterations"} {
		key.Algorithm.Params.KDF.Params.Iterations = iterations
		der, err := asn1.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = salesforce.ParseProtectedKey(pemText("ENCRYPTED PRIVATE KEY", der), keyPassword)
		if (err == nil) != (part == "") || err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%d: %v", iterations, err)
		}
	}
}

// FuzzProtectedKey: no text makes it panic, and errors show nothing.
func FuzzProtectedKey(f *testing.F) {
	names, err := filepath.Glob("testdata/keys/*.pem")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		f.Add(keyText(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("ENCRYPTED")) && len(text) > 4000 {
			return // iterations cost time
		}
		key, err := salesforce.ParseProtectedKey(text, keyPassword)
		if (key == nil) != (err != nil) {
			t.Errorf("key %v, error %v", key != nil, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q has a line break", err)
		}
	})
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "org.key")
	file := salesforce.NewKeyFile(path, keyPassword)
	if key, err := file.Key(); key != nil || err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v, %v", key != nil, err)
	}
	second := newKey(t)
	steps := []struct {
		what string
		text []byte
		want *rsa.PrivateKey
		part string // of the error
	}{
		{"half a file, no key before", keyText(t, "pbes2-aes256.pem")[:900], nil, "no whole block"},
		{"the first key", keyText(t, "pbes2-aes256.pem"), plainKey(t), ""},
		{"the same, protected otherwise", keyText(t, "dek-aes256.pem"), plainKey(t), ""},
		{"empty while it is written", nil, plainKey(t), "is empty"},
		{"half", pemText("RSA PRIVATE KEY", []byte("any"))[:20], plainKey(t), "no whole block"},
		{"too large", bytes.Repeat([]byte("x"), 1<<20+1), plainKey(t), "larger than 1 MiB"},
		{"the second key", pemPKCS8(t, second), second, ""},
	}
	for _, step := range steps {
		if err := os.WriteFile(path, step.text, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			key, err := file.Key()
			if (key == nil) != (step.want == nil) || key != nil && !key.Equal(step.want) {
				t.Errorf("%s: another key", step.what)
			}
			if (err == nil) != (step.part == "") || err != nil && !strings.Contains(err.Error(), step.part) {
				t.Errorf("%s: %v", step.what, err)
			}
			checkSilent(t, err, keyPassword)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if key, err := file.Key(); err == nil || !key.Equal(second) {
		t.Errorf("the file is gone: %v", err)
	}
	for way, text := range outputs(t, file) {
		if strings.Contains(text, keyPassword) || strings.Contains(text, second.D.String()) {
			t.Errorf("shows its secrets by %s: %s", way, text)
		}
	}
}

func TestKeyFileForMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "org.key")
	if err := os.WriteFile(path, keyText(t, "plain.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := salesforce.NewKeyFile(path, "")
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 50 {
				if key, err := file.Key(); err != nil || key == nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
}

// TestJWTBearerWithReplacedKey: a new key is used at the next exchange; a broken
// one is told only when the login with the old one fails.
func TestJWTBearerWithReplacedKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "org.key")
	keys := []*rsa.PrivateKey{newKey(t), newKey(t)}
	accepted := 0
	server := serve(t, acceptSigned(t, func() *rsa.PublicKey { return &keys[accepted].PublicKey }))
	write := func(text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	grant := salesforce.JWTBearer{LoginURL: server, ClientID: "id", Username: "u", KeyFrom: salesforce.NewKeyFile(path, "").Key}
	if _, err := grant.Exchange(wait(t)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	write(pemPKCS8(t, keys[0]))
	if _, err := grant.Exchange(wait(t)); err != nil {
		t.Fatal(err)
	}
	write(pemPKCS8(t, keys[1])[:100])
	if _, err := grant.Exchange(wait(t)); err != nil {
		t.Errorf("half a file, the old key is still accepted: %v", err)
	}
	accepted = 1
	_, err := grant.Exchange(wait(t))
	var refused *salesforce.OAuthError
	var broken *salesforce.KeyError
	if !errors.As(err, &refused) || !errors.As(err, &broken) || !salesforce.Unauthorized(err) {
		t.Errorf("half a file, the old key is refused: %v", err)
	}
	write(pemPKCS8(t, keys[1]))
	if _, err := grant.Exchange(wait(t)); err != nil {
		t.Errorf("the new key: %v", err)
	}
}
