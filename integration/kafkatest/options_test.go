package kafkatest

import "testing"

// Values survive both ways into a broker's properties file, and names the way
// through the environment.
func TestPropertiesAndEnvironment(t *testing.T) {
	p := map[string]string{"a.b-c_d": `x\y=z`, "node.id": "1"}
	if got, want := string(propertiesFile(p)), "a.b-c_d=x\\\\y=z\nnode.id=1\n"; got != want {
		t.Errorf("file:\n%s want:\n%s", got, want)
	}
	if got := environment(p); got["KAFKA_A_B___C__D"] != `x\\y=z` || got["KAFKA_NODE_ID"] != "1" {
		t.Errorf("environment: %q", got)
	}
}

func TestOptions(t *testing.T) {
	if _, err := gather([]Option{Property("a", "b\nlog.dirs=/")}); err == nil {
		t.Error("a line break in a property was taken")
	}
	if _, err := gather([]Option{User("a", "b\r")}); err == nil {
		t.Error("a line break in a password was taken")
	}
	if _, err := gather([]Option{Nodes(0)}); err == nil {
		t.Error("a cluster without nodes was taken")
	}
	o, err := gather([]Option{Partitions(7), Property("node.id", "2"), User("b", `"`), User("a", `\`), Authorizer()})
	if err != nil {
		t.Fatal(err)
	}
	p := o.serverProperties(layout{node: 1, listen: "127.0.0.1", between: "127.0.0.1", client: 1, sasl: 2, controller: 3, announced: "h:1", announcedSASL: "h:2"})
	for name, want := range map[string]string{
		"num.partitions":       "7",
		"node.id":              "2",
		"listeners":            "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:3,AUTH://127.0.0.1:2",
		"advertised.listeners": "PLAINTEXT://h:1,AUTH://h:2",
		"super.users":          "User:ANONYMOUS",
		"listener.name.auth.plain.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required user_a="\\" user_b="\"";`,
	} {
		if p[name] != want {
			t.Errorf("%s is %q, want %q", name, p[name], want)
		}
	}
}
