package kafkatest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Option configures a private broker.
type Option func(*options)

type options struct {
	nodes      int
	properties map[string]string
	users      map[string]string
	authorizer bool
}

// Property sets a broker property, such as "message.max.bytes". It wins over what
// this package sets.
func Property(name, value string) Option {
	return func(o *options) { o.properties[name] = value }
}

// Nodes makes a cluster of n nodes, each a JVM of its own (a container is not made
// then), all of them broker and controller. Topics whose creator does not say
// have a replica on each node, and so has the state of transactions and groups:
// of three nodes, one can be missed.
func Nodes(n int) Option { return func(o *options) { o.nodes = n } }

// Partitions is the number of partitions of topics whose creator does not say.
func Partitions(n int) Option { return Property("num.partitions", strconv.Itoa(n)) }

// User adds a user who may log in with SASL/PLAIN at [Cluster.SASLBrokers].
func User(name, password string) Option {
	return func(o *options) { o.users[name] = password }
}

// Authorizer turns access control lists on. Users then have no right that they
// were not granted; whoever comes through [Cluster.Brokers], without a login, has
// all of them and can grant them.
func Authorizer() Option { return func(o *options) { o.authorizer = true } }

func gather(opts []Option) (*options, error) {
	o := &options{nodes: 1, properties: map[string]string{}, users: map[string]string{}}
	for _, opt := range opts {
		opt(o)
	}
	if o.nodes < 1 {
		return nil, fmt.Errorf("a cluster of %d nodes: it has at least one", o.nodes)
	}
	for _, m := range []map[string]string{o.properties, o.users} {
		for k, v := range m {
			if strings.ContainsAny(k+v, "\r\n") {
				return nil, fmt.Errorf("option %q: a line break cannot stand in a broker's properties", k)
			}
		}
	}
	return o, nil
}

// layout is where a broker listens and keeps its data; the rest of its properties
// does not depend on whether it is a JVM of ours or a container.
type layout struct {
	node                     int32
	listen                   string // address to bind to
	client, sasl, controller int    // ports to bind to
	announced, announcedSASL string // host:port for clients
	between                  string // host of the node's connections to itself
	internal                 int    // port of those connections, 0: the clients' one
	voters                   string // of the controllers' quorum: id@host:port,...
	dataDir                  string // "": where the image keeps it
}

// serverProperties is everything that the broker is told. Names of listeners must
// not contain "SSL" or "SASL_": the official image reads meaning into that.
func (o *options) serverProperties(l layout) map[string]string {
	at := func(name string, port int) string { return fmt.Sprintf("%s://%s:%d", name, l.listen, port) }
	listeners := []string{at("PLAINTEXT", l.client), at("CONTROLLER", l.controller)}
	announced := []string{"PLAINTEXT://" + l.announced}
	protocols := "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,AUTH:SASL_PLAINTEXT"
	p := map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  strconv.Itoa(int(l.node)),
		"controller.quorum.voters":                 l.voters,
		"controller.listener.names":                "CONTROLLER",
		"default.replication.factor":               strconv.Itoa(o.nodes),
		"offsets.topic.replication.factor":         strconv.Itoa(o.nodes),
		"offsets.topic.num.partitions":             "5",
		"transaction.state.log.replication.factor": strconv.Itoa(o.nodes),
		"transaction.state.log.min.isr":            strconv.Itoa(o.nodes/2 + 1),
		"transaction.state.log.num.partitions":     "5",
		"group.initial.rebalance.delay.ms":         "0",
	}
	if l.dataDir != "" {
		p["log.dirs"] = l.dataDir
	}
	p["inter.broker.listener.name"] = "PLAINTEXT"
	if l.internal != 0 {
		// The clients' address is good outside the container only.
		listeners = append(listeners, at("INTERNAL", l.internal))
		announced = append(announced, fmt.Sprintf("INTERNAL://%s:%d", l.between, l.internal))
		p["inter.broker.listener.name"] = "INTERNAL"
	}
	if len(o.users) > 0 {
		listeners = append(listeners, at("AUTH", l.sasl))
		announced = append(announced, "AUTH://"+l.announcedSASL)
		p["listener.name.auth.sasl.enabled.mechanisms"] = "PLAIN"
		p["listener.name.auth.plain.sasl.jaas.config"] = jaas(o.users)
	}
	if o.authorizer {
		p["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		p["super.users"] = "User:ANONYMOUS"
	}
	p["listeners"] = strings.Join(listeners, ",")
	p["advertised.listeners"] = strings.Join(announced, ",")
	p["listener.security.protocol.map"] = protocols
	maps.Copy(p, o.properties)
	return p
}

func jaas(users map[string]string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var b strings.Builder
	b.WriteString("org.apache.kafka.common.security.plain.PlainLoginModule required")
	for _, name := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&b, ` user_%s="%s"`, name, quote.Replace(users[name]))
	}
	b.WriteString(";")
	return b.String()
}

// propertiesFile is p as Java's properties format.
func propertiesFile(p map[string]string) []byte {
	escape := strings.NewReplacer(`\`, `\\`)
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", k, escape.Replace(p[k]))
	}
	return []byte(b.String())
}

// environment is p as the environment of the official image: a.b-c_d becomes
// KAFKA_A_B___C__D. The image writes values into a properties file as they are.
func environment(p map[string]string) map[string]string {
	value := strings.NewReplacer(`\`, `\\`)
	escape := strings.NewReplacer("-", "___", "_", "__", ".", "_")
	env := make(map[string]string, len(p))
	for k, v := range p {
		env["KAFKA_"+strings.ToUpper(escape.Replace(k))] = value.Replace(v)
	}
	return env
}
