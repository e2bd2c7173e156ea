package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// Fingerprint is the same for two configurations that make the same of the same
// events, whatever they log, how they log in, and where they listen. Instances of
// one bridge are expected to agree in it.
func (c *Config) Fingerprint() string {
	same := *c
	same.Org.LoginURL, same.Org.AllowPlainHTTP = "", false // whose org it is, its id tells
	same.Org.Auth, same.Org.TLS, same.Org.ProxyURL = Auth{}, OrgTLS{}, Secret{}
	same.Kafka = Kafka{TransactionTimeout: c.Kafka.TransactionTimeout, Compression: c.Kafka.Compression}
	same.Registry.URL, same.Registry.AllowPlainHTTP = "", false
	same.Registry.Username, same.Registry.Password, same.Registry.BearerToken, same.Registry.TLS = "", Secret{}, Secret{}, TLS{}
	same.Ops, same.Log, same.ShutdownTimeout = Ops{}, Log{}, 0
	same.Snapshot, same.Org.MaxAPICalls = Snapshot{}, 0 // how rows are read, not which
	same.Streams = slices.Clone(c.Streams)
	slices.SortFunc(same.Streams, func(a, b Stream) int { return cmp.Compare(a.Channel, b.Channel) })
	for i := range same.Streams {
		same.Streams[i].Query.Every = 0 // when rows are read, not which
	}
	text, err := json.Marshal(same)
	if err != nil {
		panic("config: " + err.Error()) // plain data
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
