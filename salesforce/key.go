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
func ParsePrivateKey(text []byte) (*rsa.PrivateKey, error) { return ParseProtectedKey(text, "") }

// ParseProtectedKey is ParsePrivateKey for a key that may be protected by a
// password: PKCS#8 ("ENCRYPTED PRIVATE KEY") with PBES2, PBKDF2 and AES or 3DES in
// CBC mode, which is what openssl writes (RFC 8018), and the older encryption of
// PEM itself ("DEK-Info"). A key without protection needs no password and ignores
// one.
func ParseProtectedKey(text []byte, password Secret) (*rsa.PrivateKey, error) {
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
			return parseKeyBlock(block, password)
		case "ENCRYPTED PRIVATE KEY":
			return parseEncrypted(block.Bytes, password)
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

func parseKeyBlock(block *pem.Block, password Secret) (*rsa.PrivateKey, error) {
	der := block.Bytes
	if block.Headers["DEK-Info"] != "" {
		if password == "" {
			return nil, needsPassword()
		}
		var err error
		// This encryption is weak, but keys that have it exist, and are read as well
		// as those that have none.
		//lint:ignore SA1019 the function is deprecated for being insecure, as said above
		if der, err = x509.DecryptPEMBlock(block, []byte(password.Reveal())); err != nil { //nolint:staticcheck // weak, and still what openssl made of many keys that people have
			return nil, wrongPassword()
		}
	}
	return parseDER(block.Type, der)
}

func parseEncrypted(der []byte, password Secret) (*rsa.PrivateKey, error) {
	if password == "" {
		return nil, needsPassword()
	}
	plain, err := decryptPBES2(der, password)
	if err != nil {
		return nil, err
	}
	key, err := parseDER("PRIVATE KEY", plain)
	if err != nil && !isSequence(plain) {
		return nil, wrongPassword() // the padding fitted by chance, as one in 256 does
	}
	return key, err
}

// isSequence says whether DER begins as every private key does.
func isSequence(der []byte) bool { return len(der) > 1 && der[0] == 0x30 }

func needsPassword() error {
	return &KeyError{
		Problem: "the private key is protected by a password", Protected: true,
		Try: "give the password (private_key_password in a bridge's configuration), or " + decryptCommand,
	}
}

func wrongPassword() error {
	return &KeyError{
		Problem: "the password does not open the private key", Protected: true,
		Try: `test it with "openssl pkey -in key.pem -noout"; blanks and line breaks at its ends count`,
	}
}

func parseDER(kind string, der []byte) (*rsa.PrivateKey, error) {
	const remake = `look at it with "openssl pkey -in key.pem -noout -text"; the file may be cut`
	if kind == "RSA PRIVATE KEY" {
		key, err := x509.ParsePKCS1PrivateKey(der)
		if err != nil {
			return nil, &KeyError{Problem: "the PKCS#1 private key cannot be read: " + err.Error(), Try: remake}
		}
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
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
