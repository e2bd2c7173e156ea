package salesforce

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// decryptCommand turns a password-protected key of any PEM kind into a plain one.
const decryptCommand = `decrypt it with "openssl pkey -in encrypted.pem -out key.pem" and keep key.pem as safe as the password`

// ParsePrivateKey reads an RSA private key from PEM text: PKCS#1 ("RSA PRIVATE
// KEY") or PKCS#8 ("PRIVATE KEY"). Text and other blocks around the key, such as
// its certificate, are passed over. Every error is a *KeyError and shows nothing
// of the key.
func ParsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	var other string // the first block that is no private key
	for rest := text; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && other != "":
			return nil, &KeyError{
				Problem: fmt.Sprintf("the PEM text holds a %q and no private key", other),
				Try:     "give the private key whose certificate is stored with the Salesforce app",
			}
		case block == nil:
			return nil, notPEM(text)
		}
		switch block.Type {
		case "RSA PRIVATE KEY", "PRIVATE KEY":
			return parseKeyBlock(block)
		case "ENCRYPTED PRIVATE KEY":
			return nil, &KeyError{Problem: "the private key is protected by a password", Try: decryptCommand}
		case "EC PRIVATE KEY", "DSA PRIVATE KEY":
			return nil, notRSA(block.Type)
		case "OPENSSH PRIVATE KEY":
			return nil, &KeyError{
				Problem: "the private key is in OpenSSH's own format",
				Try:     `convert a copy with "ssh-keygen -p -m PEM -f copy-of-key" (it must be an RSA key)`,
			}
		}
		if other == "" {
			other = block.Type
		}
	}
}

func parseKeyBlock(block *pem.Block) (*rsa.PrivateKey, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, &KeyError{Problem: "the private key is protected by a password", Try: decryptCommand}
	}
	const remake = `look at it with "openssl pkey -in key.pem -noout -text"; the file may be cut`
	if block.Type == "RSA PRIVATE KEY" {
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, &KeyError{Problem: "the PKCS#1 private key cannot be read: " + err.Error(), Try: remake}
		}
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, &KeyError{Problem: "the PKCS#8 private key cannot be read: " + err.Error(), Try: remake}
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, notRSA(fmt.Sprintf("%T", parsed))
	}
	return key, nil
}

func notRSA(kind string) error {
	return &KeyError{
		Problem: fmt.Sprintf("the private key is not an RSA key but %s, and Salesforce takes RS256 only", kind),
		Try:     `make one with "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem" and store cert.pem with the app`,
	}
}

func notPEM(text []byte) error {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return &KeyError{Problem: "the private key is empty", Try: "check the file or the environment variable it is read from"}
	case bytes.Contains(text, []byte("-----BEGIN")):
		return &KeyError{
			Problem: "the text begins like PEM but is no whole block",
			Try:     `keep the line breaks (not the two characters "\n") and the END line`,
		}
	default:
		return &KeyError{
			Problem: "the private key is not PEM text",
			Try:     `give the text that begins with "-----BEGIN PRIVATE KEY-----", not its path; DER is converted by "openssl pkey -inform DER -in key.der -out key.pem"`,
		}
	}
}
