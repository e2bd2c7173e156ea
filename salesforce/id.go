package salesforce

import (
	"fmt"
	"net/url"
	"strings"
)

// checkAlphabet maps the 5-bit number of a chunk to its check character.
const checkAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

// ID18 returns the 18-character form of a record id. A 15-character id, which is
// case-sensitive, gets its three check characters; an 18-character id is
// returned if they fit.
//
// Each check character stands for five characters of the id: bit i of its number
// is set if character i is an upper-case letter.
func ID18(id string) (string, error) {
	if len(id) != 15 && len(id) != 18 {
		return "", fmt.Errorf("id %s has %d characters, not 15 or 18", quote(id), len(id))
	}
	full := make([]byte, 0, 18)
	full = append(full, id[:15]...)
	for chunk := 0; chunk < 15; chunk += 5 {
		number := 0
		for i, c := range []byte(id[chunk : chunk+5]) {
			switch {
			case c >= 'A' && c <= 'Z':
				number |= 1 << i
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			default:
				return "", fmt.Errorf("id %s has a character that is neither letter nor digit", quote(id))
			}
		}
		full = append(full, checkAlphabet[number])
	}
	if len(id) == 18 && id != string(full) {
		return "", fmt.Errorf("id %s has check characters %s where %s fits: its case may have been changed", quote(id), quote(id[15:]), full[15:])
	}
	return string(full), nil
}

// parseIdentity reads org and user from the identity URL of a token reply:
// https://login.salesforce.com/id/<org>/<user>.
func parseIdentity(identity string) (org, user string, err error) {
	u, err := url.Parse(identity)
	if err != nil {
		return "", "", fmt.Errorf("identity URL %s is no URL", quote(identity))
	}
	parts := strings.Split(strings.TrimSuffix(u.Path, "/"), "/")
	n := len(parts)
	if n < 3 || parts[n-3] != "id" {
		return "", "", fmt.Errorf("identity URL %s does not end in /id/<org>/<user>", quote(identity))
	}
	if org, err = orgID(parts[n-2]); err != nil {
		return "", "", err
	}
	if user, err = ID18(parts[n-1]); err != nil {
		return "", "", err
	}
	return org, user, nil
}

func orgID(id string) (string, error) {
	full, err := ID18(id)
	if err != nil {
		return "", fmt.Errorf("reading the org's id: %w", err)
	}
	if !strings.HasPrefix(full, "00D") {
		return "", fmt.Errorf("id %s does not begin with 00D, as the id of an org does", quote(id))
	}
	return full, nil
}
