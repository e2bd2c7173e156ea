package orgsim

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// What the old address of an instance answers once the org has moved: see
// Org.MoveInstance.
const (
	MovedUnknown  = "unknown"  // it knows no session and no token
	MovedRedirect = "redirect" // HTTP 307 to the new address
	MovedGone     = "gone"     // HTTP 404
)

// instance is where the org lives.
type instance struct {
	url  string
	host string
	old  string // what other hosts answer
}

// MoveInstance gives the org another address, as an instance refresh or a
// migration does: all sessions end, tokens stay good, token replies name the
// new address, and every other host answers as old says (MovedUnknown,
// MovedRedirect, MovedGone) to all but the token endpoint and the control API.
// "": the org answers everywhere again.
func (o *Org) MoveInstance(address, old string) {
	var next *instance
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		orDefault(&old, MovedUnknown)
		next = &instance{url: strings.TrimSuffix(address, "/"), host: u.Host, old: old}
	}
	o.instance.Store(next)
	o.endAll(endMoved)
}

// formerHost is what the host answers since it is no longer the org's; "": it is.
func (o *Org) formerHost(host string) string {
	if i := o.instance.Load(); i != nil && i.host != host {
		return i.old
	}
	return ""
}

// moved answers a request to an address where the org no longer lives, unless
// the service does so itself.
func (o *Org) moved(w http.ResponseWriter, r *http.Request) bool {
	switch o.formerHost(r.Host) {
	case MovedRedirect:
		a := page(http.StatusTemporaryRedirect)
		a.location = o.instance.Load().url + r.URL.RequestURI()
		a.write(w, "")
	case MovedGone:
		page(http.StatusNotFound).write(w, "")
	default:
		return false
	}
	return true
}

// nextAddress makes up an address to move to: another name of the loopback
// address, or the host's first label with a number.
func (o *Org) nextAddress() string {
	now := o.cfg.InstanceURL
	if seen := o.seen.Load(); seen != nil {
		now = *seen
	}
	if i := o.instance.Load(); i != nil {
		now = i.url
	}
	u, err := url.Parse(now)
	if err != nil || u.Host == "" {
		return ""
	}
	switch name, port := u.Hostname(), u.Port(); name {
	case "127.0.0.1":
		u.Host = "localhost:" + port
	case "localhost":
		u.Host = "127.0.0.1:" + port
	default:
		label, rest, _ := strings.Cut(u.Host, ".")
		n := 1
		if base, number, ok := strings.Cut(label, "--r"); ok {
			if _, err := fmt.Sscan(number, &n); err == nil {
				n++
			}
			label = base
		}
		u.Host = fmt.Sprintf("%s--r%d.%s", label, n, rest)
	}
	return u.Scheme + "://" + u.Host
}
