package orgsim

import (
	"encoding/hex"
	"math/rand/v2"
)

const (
	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	base36 = "0123456789abcdefghijklmnopqrstuvwxyz"
	suffix = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
)

// ID18 appends the three check characters to a 15-character id: for each five
// characters a five-bit number whose bit i says that character i is an upper
// case letter. Any other length is returned as it is.
func ID18(id string) string {
	if len(id) != 15 {
		return id
	}
	out := make([]byte, 15, 18)
	copy(out, id)
	for chunk := range 3 {
		bits := 0
		for i := range 5 {
			if c := id[chunk*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		out = append(out, suffix[bits])
	}
	return string(out)
}

// idMaker gives out record ids of one org: key prefix, three characters of
// the instance, a zero, and a counter of eight base-62 digits.
type idMaker struct {
	instance string
	next     map[string]int64
	rnd      *rand.Rand
}

func newIDMaker(rnd *rand.Rand) *idMaker {
	b := make([]byte, 3)
	for i := range b {
		b[i] = base62[rnd.IntN(len(base62))]
	}
	return &idMaker{instance: string(b), next: map[string]int64{}, rnd: rnd}
}

// id15 returns a new 15-character id with the key prefix.
func (m *idMaker) id15(prefix string) string {
	n, ok := m.next[prefix]
	if !ok {
		// Large enough that the counter's upper digits hold letters of both cases.
		n = 1_000_000_000_000 + m.rnd.Int64N(100_000_000_000_000)
	}
	m.next[prefix] = n + 1 + m.rnd.Int64N(3)
	var b [15]byte
	copy(b[:], prefix)
	copy(b[3:], m.instance)
	b[6] = '0'
	for i := 14; i > 6; i-- {
		b[i] = base62[n%62]
		n /= 62
	}
	return string(b[:])
}

// id18 returns a new 18-character id with the key prefix.
func (m *idMaker) id18(prefix string) string { return ID18(m.id15(prefix)) }

// randomUUID makes a version 4 UUID.
func randomUUID(rnd *rand.Rand) string {
	var raw [16]byte
	for i := 0; i < 16; i += 8 {
		v := rnd.Uint64()
		for j := range 8 {
			raw[i+j] = byte(v >> (8 * j))
		}
	}
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[0:8], raw[0:4])
	hex.Encode(out[9:13], raw[4:6])
	hex.Encode(out[14:18], raw[6:8])
	hex.Encode(out[19:23], raw[8:10])
	hex.Encode(out[24:36], raw[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// transactionKey has the GUID-like look of the documented samples: four zeros first.
func transactionKey(rnd *rand.Rand) string {
	return "000" + randomUUID(rnd)[3:]
}

// randomText returns n characters of the alphabet.
func randomText(rnd *rand.Rand, alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rnd.IntN(len(alphabet))]
	}
	return string(b)
}
