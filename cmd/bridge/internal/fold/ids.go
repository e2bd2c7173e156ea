package fold

import (
	"cmp"

	"github.com/sfbridge/bridge/salesforce"
)

// id is a record id in 12 bytes: 15 characters, five in each number. The three
// characters behind them only tell which are upper-case letters.
type id [3]uint32

const (
	idLength    = 15
	idAlphabet  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	perNumber   = 5
	longID      = 18
	alphabetLen = uint32(len(idAlphabet))
)

// packID is false for a text that is no record id.
func packID(text string) (out id, ok bool) {
	if len(text) != idLength && len(text) != longID {
		return id{}, false
	}
	for i := range idLength {
		digit, ok := digitOf(text[i])
		if !ok {
			return id{}, false
		}
		n := &out[i/perNumber]
		*n = *n*alphabetLen + digit
	}
	return out, true
}

func digitOf(c byte) (uint32, bool) {
	switch {
	case c >= '0' && c <= '9':
		return uint32(c - '0'), true
	case c >= 'A' && c <= 'Z':
		return uint32(c-'A') + 10, true
	case c >= 'a' && c <= 'z':
		return uint32(c-'a') + 36, true
	}
	return 0, false
}

func (d id) compare(o id) int {
	return cmp.Or(cmp.Compare(d[0], o[0]), cmp.Compare(d[1], o[1]), cmp.Compare(d[2], o[2]))
}

// String is the id with 18 characters.
func (d id) String() string {
	var text [idLength]byte
	for i, n := range d {
		for at := perNumber - 1; at >= 0; at-- {
			text[i*perNumber+at] = idAlphabet[n%alphabetLen]
			n /= alphabetLen
		}
	}
	full, err := salesforce.ID18(string(text[:]))
	if err != nil {
		return string(text[:]) // of 15 letters and digits there is always one of 18
	}
	return full
}
