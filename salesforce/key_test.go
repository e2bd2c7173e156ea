package salesforce_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

func pemText(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePrivateKey(t *testing.T) {
	key := newKey(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(key)
	certificate := pemText("CERTIFICATE", []byte("any"))
	for name, text := range map[string][]byte{
		"PKCS#1":            pemText("RSA PRIVATE KEY", pkcs1),
		"PKCS#8":            pemText("PRIVATE KEY", pkcs8),
		"certificate first": slices.Concat(certificate, pemText("PRIVATE KEY", pkcs8)),
		"text around":       slices.Concat([]byte("Bag Attributes\n  name: x\n"), pemText("RSA PRIVATE KEY", pkcs1), certificate),
		"Windows lines":     []byte(strings.ReplaceAll(string(pemText("PRIVATE KEY", pkcs8)), "\n", "\r\n")),
	} {
		got, err := salesforce.ParsePrivateKey(text)
		if err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	rsaKey := newKey(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec8, err := x509.MarshalPKCS8PrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	encrypted1 := pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: []byte("any"),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"},
	})
	whole := string(pemText("PRIVATE KEY", pkcs8))
	for name, tc := range map[string]struct {
		text  []byte
		parts []string
	}{
		"empty":            {nil, []string{"is empty"}},
		"blank":            {[]byte(" \n"), []string{"is empty"}},
		"path":             {[]byte("/etc/bridge/key.pem"), []string{"not PEM", "not its path"}},
		"DER":              {pkcs8, []string{"not PEM", "-inform DER"}},
		"escaped lines":    {[]byte(strings.ReplaceAll(whole, "\n", `\n`)), []string{"no whole block", "line breaks"}},
		"cut":              {[]byte(whole[:len(whole)/2]), []string{"no whole block"}},
		"PKCS#8 encrypted": {pemText("ENCRYPTED PRIVATE KEY", []byte("any")), []string{"password", "openssl pkey -in encrypted.pem -out key.pem"}},
		"PKCS#1 encrypted": {encrypted1, []string{"password", "openssl pkey -in encrypted.pem -out key.pem"}},
		"EC":               {pemText("EC PRIVATE KEY", []byte("any")), []string{"EC PRIVATE KEY", "RS256", "openssl req"}},
		"EC in PKCS#8":     {pemText("PRIVATE KEY", ec8), []string{"ecdsa", "RS256"}},
		"public":           {pemText("PUBLIC KEY", public), []string{"PUBLIC KEY", "no private key"}},
		"certificate":      {pemText("CERTIFICATE", []byte("any")), []string{"CERTIFICATE", "no private key"}},
		"OpenSSH":          {pemText("OPENSSH PRIVATE KEY", []byte("any")), []string{"ssh-keygen -p -m PEM"}},
		"broken PKCS#1":    {pemText("RSA PRIVATE KEY", []byte("any")), []string{"PKCS#1", "cannot be read"}},
		"broken PKCS#8":    {pemText("PRIVATE KEY", pkcs8[:100]), []string{"PKCS#8", "cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := salesforce.ParsePrivateKey(tc.text)
			var keyError *salesforce.KeyError
			if !errors.As(err, &keyError) {
				t.Fatalf("got %v", err)
			}
			mustContain(t, err.Error(), append(tc.parts, "try: ")...)
			checkSilent(t, err, whole[60:100])
			if salesforce.Retryable(err) {
				t.Error("a bad key cannot get better by waiting")
			}
		})
	}
}
