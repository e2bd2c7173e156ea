package salesforce

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // keys that were encrypted with 3DES exist
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // the standard's default, and safe in HMAC
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"
)

// maxIterations bounds the work that a key file can ask for: about ten seconds.
// openssl asks for 2,048.
const maxIterations = 10_000_000

// The structures of RFC 8018 (PKCS #5), appendix A, and RFC 5208, section 6.
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params struct {
		KDF, Cipher pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

// Object identifiers.
const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
	oidScrypt = "1.3.6.1.4.1.11591.4.11"
)

// pbeHash is the hash of a pseudo-random function; none named means SHA-1.
func pbeHash(oid string) func() hash.Hash {
	switch oid {
	case "", "1.2.840.113549.2.7":
		return sha1.New
	case "1.2.840.113549.2.8":
		return sha256.New224
	case "1.2.840.113549.2.9":
		return sha256.New
	case "1.2.840.113549.2.10":
		return sha512.New384
	case "1.2.840.113549.2.11":
		return sha512.New
	}
	return nil
}

// pbeCipher is a block cipher, to be used in CBC mode, and the length of its key.
func pbeCipher(oid string) (length int, make func([]byte) (cipher.Block, error)) {
	switch oid {
	case "2.16.840.1.101.3.4.1.2":
		return 16, aes.NewCipher
	case "2.16.840.1.101.3.4.1.22":
		return 24, aes.NewCipher
	case "2.16.840.1.101.3.4.1.42":
		return 32, aes.NewCipher
	case "1.2.840.113549.3.7":
		return 24, des.NewTripleDESCipher
	}
	return 0, nil
}

// decryptPBES2 opens an EncryptedPrivateKeyInfo.
func decryptPBES2(der []byte, password Secret) ([]byte, error) {
	var (
		key    encryptedKey
		scheme pbes2Params
		kdf    pbkdf2Params
		iv     []byte
	)
	if !unmarshal(der, &key) {
		return nil, brokenKey("it is not an EncryptedPrivateKeyInfo")
	}
	if oid := key.Algorithm.Algorithm.String(); oid != oidPBES2 {
		return nil, unknownScheme("the scheme", oid)
	}
	if !unmarshal(key.Algorithm.Parameters.FullBytes, &scheme) {
		return nil, brokenKey("the parameters of its encryption cannot be read")
	}
	switch oid := scheme.KDF.Algorithm.String(); oid {
	case oidPBKDF2:
	case oidScrypt:
		return nil, unknownScheme("scrypt", oid)
	default:
		return nil, unknownScheme("the key derivation", oid)
	}
	if !unmarshal(scheme.KDF.Parameters.FullBytes, &kdf) || !unmarshal(scheme.Cipher.Parameters.FullBytes, &iv) {
		return nil, brokenKey("the parameters of its encryption cannot be read")
	}
	prf := kdf.PRF.Algorithm.String()
	newHash := pbeHash(prf)
	if newHash == nil {
		return nil, unknownScheme("the pseudo-random function", prf)
	}
	length, newCipher := pbeCipher(scheme.Cipher.Algorithm.String())
	if newCipher == nil {
		return nil, unknownScheme("the cipher", scheme.Cipher.Algorithm.String())
	}
	if kdf.Iterations < 1 || kdf.Iterations > maxIterations || kdf.KeyLength != 0 && kdf.KeyLength != length {
		return nil, brokenKey(fmt.Sprintf("its encryption asks for %d iterations and a key of %d bytes", kdf.Iterations, kdf.KeyLength))
	}
	derived, err := pbkdf2.Key(newHash, password.Reveal(), kdf.Salt, kdf.Iterations, length)
	if err != nil {
		return nil, brokenKey("its password cannot be used: " + err.Error())
	}
	block, err := newCipher(derived)
	if err != nil {
		return nil, brokenKey("its cipher cannot be used: " + err.Error())
	}
	return decryptCBC(block, iv, key.Data)
}

// decryptCBC decrypts and takes the padding off (RFC 8018, 6.1.1).
func decryptCBC(block cipher.Block, iv, data []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, brokenKey("its length does not fit its cipher: the file may be cut")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > size {
		return nil, wrongPassword()
	}
	for _, b := range plain[len(plain)-padding:] {
		if int(b) != padding {
			return nil, wrongPassword()
		}
	}
	return plain[:len(plain)-padding], nil
}

// unmarshal reads DER that is exactly one value.
func unmarshal(der []byte, v any) bool {
	rest, err := asn1.Unmarshal(der, v)
	return err == nil && len(rest) == 0
}

func brokenKey(problem string) error {
	return &KeyError{Problem: "the protected PKCS#8 private key cannot be read: " + problem, Try: `make it anew with "openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem"`}
}

func unknownScheme(what, oid string) error {
	return &KeyError{
		Problem: fmt.Sprintf("the private key is protected by %s %s, which is not spoken here", what, oid),
		Try:     `encrypt it with "openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem", or ` + decryptCommand,
	}
}
