package orgsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"
)

// Config describes an org. The zero value is a usable one: DefaultObjects,
// DefaultUser, DefaultApp without a key.
type Config struct {
	// Seed decides ids, replay id gaps, keys and generated data: two orgs with
	// one seed, one clock and the same calls publish the same bytes.
	Seed uint64
	// Now is the org's clock (commit times, tokens, retention, session lapse);
	// nil: time.Now. AdvanceClock adds to it.
	Now func() time.Time
	// InstanceURL is what token replies name; "": the address of the request.
	InstanceURL string
	// Versions are the API versions on offer, oldest first; none: 59.0 to 66.0.
	Versions []string

	Objects  []Object  // none: DefaultObjects
	Channels []Channel // custom channels, /data/X__chn and /event/X__chn
	// PushTopics and StreamingChannels (/u/…) that the org begins with.
	PushTopics        []PushTopic
	StreamingChannels []string
	Users             []User // none: DefaultUser; the first one makes changes that name no user
	Apps              []App  // none: DefaultApp(nil)

	TokenLifetime    time.Duration // idle time after which an access token ends; default 2 h
	MaxAssertion     time.Duration // how far ahead a JWT's exp may lie; default 5 min
	Audiences        []string      // accepted besides https://login.salesforce.com and https://test.salesforce.com
	AcceptOwnAddress bool          // accept the org's own URL as audience too

	Hold            time.Duration // how long a connect is held; default 110 s
	Lapse           time.Duration // a session ends this long after its last reply; default 40 s
	MaxClients      int           // concurrent CometD sessions; default 2,000
	MaxReplyEvents  int           // events in one reply; default 2,000
	MaxReplyBytes   int           // event bytes in one reply; default 8 MiB
	NoCookies       bool          // do not insist on the BAYEUX_BROWSER cookie
	DuplicateStatus int           // HTTP status that ends the older of two connects; default 500
	Gzip            bool          // compress replies for clients that accept it

	ConnectReplyFirst   bool // connect reply before the events of the same body
	EventsWithSubscribe bool // deliver replayed events with the subscribe reply already

	Retention     time.Duration // default 72 h; negative: for ever
	DropTrimmed   bool          // let the ledger forget what retention ended, for orgs that run for days
	FirstReplayID int64         // default: eight digits from the seed
	FirstCommit   int64         // commit number to begin with; default: above 2^53, so that a float64 would round it

	// ExpireByID: a replay id stays valid while every event behind it is
	// retained. Without it an id ends with its own event: that of a quiet
	// channel is refused after the retention time though nothing was published
	// since.
	ExpireByID bool
	// Delays are how long events are on their way after their commit, by object
	// or platform event; "": all others. SetDelay changes them.
	Delays map[string]Delay

	Faults         *FaultPlan    // begins with the org
	Affinity       time.Duration // sessions are bound by a cookie that ends after this; 0: they are not
	ProxyCut       time.Duration // a proxy ends connects that were held this long; 0: none does
	ProxyStatus    int           // with this HTTP status; 0: by closing the connection
	SilentChannels bool          // subscribing to a channel that does not exist succeeds, and nothing comes

	// LocatorLifetime ends a query locator that nobody reads; default 15 min, the
	// shortest that has been seen in the service.
	LocatorLifetime time.Duration
	// ReplicationLag is how far behind the clock the lists of updated and deleted
	// records end (latestDateCovered), whatever end was asked for; whole minutes.
	ReplicationLag    time.Duration
	MaxReplicationIDs int // in one such list, more are EXCEEDED_ID_LIMIT; default 600,000

	Bulk BulkConfig // Bulk API 2.0 query jobs

	DailyDeliveries  int    // events delivered in 24 h, for each channel and session; 0: any number
	DailyLimitOn     string // what is refused then: LimitOnConnect, LimitOnSubscribe, LimitOnBoth (default)
	DailyAPIRequests int    // REST requests in 24 h, more are refused; 0: 15,000 on paper and any number

	OmitChangedFields bool // leave changedFields out of change events
	NoMerge           bool // never merge equal changes of a transaction
	TextDiffs         bool // send a long text's update as a diff where that is shorter
}

// Channel is a custom channel; its members are event names (AccountChangeEvent
// or Order__e) of the kind that its path serves.
type Channel struct {
	Name    string   `json:"name"` // /data/Sales__chn or /event/Orders__chn
	Members []string `json:"members"`
}

// User is somebody who may log in.
type User struct {
	Username      string
	Password      string
	SecurityToken string
	Name          string
	Email         string
	Inactive      bool
	NoStreaming   bool     // handshakes are refused: user not enabled for streaming
	Denied        []string // objects or platform events that the user may not read
	DeniedFields  []string // fields that describe and queries do not show, "Account.Phone"; events do
	TimeZone      string   // of date literals, such as "Europe/Berlin"; default UTC
}

// App is a connected app.
type App struct {
	ClientID     string
	ClientSecret string
	PublicKey    *rsa.PublicKey // verifies JWT assertions; nil: the app has no certificate
	Approved     []string       // usernames pre-authorised for it; "*": all
	RunAs        string         // user of the client credentials flow; "": flow not enabled
}

// DefaultUser is the user of an org whose Config names none.
func DefaultUser() User {
	return User{Username: "bridge@orgsim.example", Password: "correct-horse", SecurityToken: "Xq7", Name: "Bridge Integration", Email: "bridge@orgsim.example"}
}

// DefaultApp is the connected app of an org whose Config names none, with the
// key that its JWT assertions are signed with.
func DefaultApp(key *rsa.PublicKey) App {
	return App{ClientID: "3MVG9orgsimDefaultConsumerKey", ClientSecret: "orgsim-secret", PublicKey: key, Approved: []string{"*"}, RunAs: DefaultUser().Username}
}

// NewKey makes a key pair for an App: the private key for the client, as a
// value and as PKCS #8 PEM. It is random, whatever the seed.
func NewKey() (*rsa.PrivateKey, []byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func (c *Config) merges() bool { return !c.NoMerge }

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// fill sets what is left open.
func (c *Config) fill() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if len(c.Versions) == 0 {
		c.Versions = []string{"59.0", "60.0", "61.0", "62.0", "63.0", "64.0", "65.0", "66.0"}
	}
	if len(c.Objects) == 0 {
		c.Objects = DefaultObjects()
	}
	if len(c.Users) == 0 {
		c.Users = []User{DefaultUser()}
	}
	if len(c.Apps) == 0 {
		c.Apps = []App{DefaultApp(nil)}
	}
	orDefault(&c.TokenLifetime, 2*time.Hour)
	orDefault(&c.MaxAssertion, 5*time.Minute)
	orDefault(&c.Hold, 110*time.Second)
	orDefault(&c.Lapse, 40*time.Second)
	orDefault(&c.MaxClients, 2000)
	orDefault(&c.MaxReplyEvents, 2000)
	orDefault(&c.MaxReplyBytes, 8<<20)
	orDefault(&c.DuplicateStatus, 500)
	orDefault(&c.Retention, 72*time.Hour)
	orDefault(&c.LocatorLifetime, 15*time.Minute)
	orDefault(&c.MaxReplicationIDs, 600_000)
	c.Bulk.fill()
}

// check finds what would make the org behave oddly later.
func (c *Config) check() error {
	seen := map[string]bool{}
	for _, ob := range c.Objects {
		if ob.Name == "" || seen[ob.Name] {
			return &ConfigError{"objects", "name " + quoted(ob.Name) + " is empty or given twice"}
		}
		seen[ob.Name] = true
		if len(ob.KeyPrefix) != 0 && len(ob.KeyPrefix) != 3 {
			return &ConfigError{"objects." + ob.Name, "a key prefix has three characters"}
		}
		names := map[string]bool{}
		for _, f := range ob.Fields {
			if err := checkField(ob, f); err != nil {
				return err
			}
			if names[f.Name] {
				return &ConfigError{"objects." + ob.Name, "field " + quoted(f.Name) + " is given twice"}
			}
			names[f.Name] = true
		}
	}
	return c.checkRest()
}

// checkRest looks at what refers to the objects.
func (c *Config) checkRest() error {
	for name, d := range c.Delays {
		if d.Min < 0 || d.Max < 0 || d.Tail < 0 || name != "" && !slices.ContainsFunc(c.Objects, func(ob Object) bool { return ob.Name == name }) {
			return &ConfigError{"delays." + name, "no such object, or a negative delay"}
		}
	}
	if !slices.Contains([]string{"", LimitOnConnect, LimitOnSubscribe, LimitOnBoth}, c.DailyLimitOn) {
		return &ConfigError{"dailyLimitOn", quoted(c.DailyLimitOn) + " is none of connect, subscribe, both"}
	}
	for _, u := range c.Users {
		if u.Username == "" {
			return &ConfigError{"users", "a user without a username"}
		}
	}
	for _, ch := range c.Channels {
		data := strings.HasPrefix(ch.Name, "/data/")
		if !strings.HasSuffix(ch.Name, "__chn") || !data && !strings.HasPrefix(ch.Name, "/event/") {
			return &ConfigError{"channels", quoted(ch.Name) + " is not /data/NAME__chn or /event/NAME__chn"}
		}
		for _, m := range ch.Members {
			ok := slices.ContainsFunc(c.Objects, func(ob Object) bool { return ob.EventName() == m && ob.IsEvent() != data })
			if !ok {
				return &ConfigError{"channels." + ch.Name, "no such event for this channel: " + quoted(m)}
			}
		}
	}
	return nil
}

func quoted(s string) string { return `"` + s + `"` }

func checkField(ob Object, f Field) error {
	where := "objects." + ob.Name
	if f.Name == "" || strings.ContainsAny(f.Name, "\"\\ ") {
		return &ConfigError{where, "field name " + quoted(f.Name) + " is not an API name"}
	}
	if f.Formula != "" && (ob.IsEvent() || f.Type.parts() != nil || f.Required) {
		return &ConfigError{where, "field " + f.Name + " cannot be a formula"}
	}
	switch f.Type {
	case Text, LongText, Email, Phone, URL, Picklist, MultiPicklist, Checkbox, Integer, Number, Currency, Percent, Date, DateTime, Time, Lookup:
		return nil
	case AutoNumber, PersonName, AccountName, Address, Geolocation, Base64:
		if !ob.IsEvent() {
			return nil
		}
		return &ConfigError{where, "a platform event has no field of type " + quoted(string(f.Type))}
	}
	return &ConfigError{where, "field " + f.Name + " has the unknown type " + quoted(string(f.Type))}
}
