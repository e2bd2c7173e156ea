package config

import "strings"

// confluentRule says what becomes of a key, or with * at its end of those that begin
// so. The first rule that fits counts.
type confluentRule struct {
	key   string
	apply func(t *translator, key, value string)
}

func (r confluentRule) fits(key string) bool {
	if before, family := strings.CutSuffix(r.key, "*"); family {
		return strings.HasPrefix(key, before)
	}
	return r.key == key
}

// confluentRules are all keys of the three connectors and of Kafka Connect beside
// them.
func confluentRules() []confluentRule {
	var all []confluentRule
	for _, group := range [][]confluentRule{loginRules(), streamRules(), topicRules(), valueRules(), clusterRules(), frameworkRules()} {
		all = append(all, group...)
	}
	return all
}

// none is for a key that has no meaning here.
func none(why string) func(*translator, string, string) {
	return func(t *translator, key, _ string) { t.note(key, Meaningless, why) }
}

// ask is for a key that somebody has to decide about.
func ask(what string) func(*translator, string, string) {
	return func(t *translator, key, _ string) { t.note(key, Undecided, what) }
}

// unless is for a key of which one value says nothing, and the others ask.
func unless(usual, what string) func(*translator, string, string) {
	return func(t *translator, key, value string) {
		if strings.EqualFold(value, usual) {
			t.note(key, Meaningless, "it is what it is without")
			return
		}
		t.note(key, Undecided, what)
	}
}

// to is for a key that the bridge has too.
func to(path string) func(*translator, string, string) {
	return func(t *translator, key, value string) { t.carry(key, path, value) }
}

// as is for a key that the bridge has with other values.
func as(path string, values map[string]string) func(*translator, string, string) {
	return func(t *translator, key, value string) {
		if ours, ok := values[strings.ToLower(value)]; ok {
			t.set[path] = ours
			t.note(key, Carried, "", path)
			return
		}
		t.note(key, Undecided, quote(value)+" is no value that "+path+" has an equal of", path)
	}
}

// later is for a key that is looked at together with others.
func later() func(*translator, string, string) {
	return func(*translator, string, string) {}
}

func loginRules() []confluentRule {
	const retries = "the bridge tries again for as long as it takes, with backoff"
	return []confluentRule{
		{"salesforce.grant.type", later()},
		{"salesforce.instance", to("org.login_url")},
		{"salesforce.username", later()},
		{"salesforce.password", later()},
		{"salesforce.password.token", later()},
		{"salesforce.consumer.key", later()},
		{"salesforce.consumer.secret", later()},
		{"salesforce.jwt.keystore.path", later()},
		{"salesforce.jwt.keystore.file", later()},
		{"salesforce.jwt.keystore.password", later()},
		{"salesforce.version", (*translator).apiVersion},
		{"salesforce.auth.retries.time.ms", none(retries)},
		{"http.proxy", later()},
		{"http.proxy.auth.scheme", later()},
		{"http.proxy.user", later()},
		{"http.proxy.password", later()},
		{"http.proxy.auth.ntlm.domain", ask("the bridge does not speak NTLM to proxies")},
		{"connection.timeout", none("the bridge has its own limits")},
		{"connection.max.message.size", none("there is no limit on a reply")},
		{"request.max.retries.time.ms", none(retries)},
		{"curl.logging", none("the bridge never logs requests, which hold tokens")},
		{"enable.trace.logging", unless("false", "log.level: debug is the most that is logged")},
		{"regex.timeout.ms", none("the bridge matches no expressions in messages")},
	}
}

func streamRules() []confluentRule {
	const pushTopic = "the bridge creates no PushTopics: this one has to exist, and says itself what it notifies of"
	return []confluentRule{
		{"salesforce.cdc.channel", later()},
		{"salesforce.cdc.name", later()},
		{"salesforce.platform.event.name", later()},
		{"salesforce.push.topic.name", later()},
		{"salesforce.channel.entities", later()},
		{"salesforce.object", none("the PushTopic's own query names its object")},
		{"salesforce.push.topic.create", unless("false", pushTopic)},
		{"salesforce.push.topic.notify.*", unless("true", pushTopic)},
		{"salesforce.initial.start", as("streams[0].start", map[string]string{"all": "earliest", "latest": "latest"})},
		{"invalid.replay.id.behaviour", as("streams[0].on_expired", map[string]string{"all": "earliest", "latest": "latest"})},
		{"invalid.replay.id.behavior", as("streams[0].on_expired", map[string]string{"all": "earliest", "latest": "latest"})},
		{"convert.changed.fields", unless("false", "the lists in the header have Salesforce's names of fields, as envelope: event has them in the body; envelope: flat renames the body's alone")},
		{"errors.tolerance", as("streams[0].on_bad_event", map[string]string{"all": "dead_letter", "none": "halt"})},
		{"errors.deadletterqueue.topic.name", to("dead_letter.topic")},
		{"errors.deadletterqueue.*", none("dead letters always have the reason in their headers, and their topic is made as topics says")},
		{"errors.*", none("the bridge logs every error with what it does about it, and tries again for as long as that may help")},
	}
}

func topicRules() []confluentRule {
	return []confluentRule{
		{"kafka.topic", later()},
		{"kafka.topic.lowercase", later()},
		{"topic.creation.default.partitions", to("topics.partitions")},
		{"topic.creation.default.replication.factor", to("topics.replication_factor")},
		{"topic.creation.default.include", none("topics says it for all")},
		{"topic.creation.default.exclude", none("topics says it for all")},
		{"topic.creation.default.*", func(t *translator, key, value string) {
			t.carry(key, "topics.settings."+strings.TrimPrefix(key, "topic.creation.default."), value)
		}},
		{"topic.creation.groups", ask("topics has one rule for all topics that it makes; make the others by hand")},
		{"topic.creation.enable", none("topics.create is true unless it is set otherwise")},
		{"topic.creation.*", ask("topics has one rule for all topics that it makes; make the others by hand")},
	}
}

func valueRules() []confluentRule {
	const encrypted = "the bridge does not encrypt fields: what the connector hides would be in the clear"
	return []confluentRule{
		{"output.data.format", later()},
		{"output.data.key.format", none("keys are the record's id as text; topics.key_format: avro writes them in the registry's wire format")},
		{"value.converter", later()},
		{"value.converter.schemas.enable", later()},
		{"value.converter.schema.registry.url", later()},
		{"value.converter.schema.registry.basic.auth.user.info", later()},
		{"value.converter.basic.auth.user.info", later()},
		{"value.converter.basic.auth.credentials.source", later()},
		{"value.converter.schema.registry.basic.auth.credentials.source", later()},
		{"value.converter.bearer.auth.token", later()},
		{"value.converter.bearer.auth.credentials.source", later()},
		{"value.converter.schema.registry.ssl.*", ask("registry.tls takes PEM files, and no keystores")},
		{"value.converter.auto.register.schemas", as("registry.auto_register", map[string]string{"true": "true", "false": "false"})},
		{"auto.register.schemas", as("registry.auto_register", map[string]string{"true": "true", "false": "false"})},
		{"value.converter.value.subject.name.strategy", (*translator).subjects},
		{"value.subject.name.strategy", (*translator).subjects},
		{"value.converter.use.latest.version", unless("false", "the bridge writes with the schema that the event names")},
		{"use.latest.version", unless("false", "the bridge writes with the schema that the event names")},
		{"value.converter.*", ask("the bridge makes its values itself, and has no such setting")},
		{"schema.context.name", unless("default", "the bridge registers in the default context; a context can be part of registry.url")},
		{"key.converter*", none("keys are the record's id as text; topics.key_format: avro writes them in the registry's wire format")},
		{"key.subject.name.strategy", none("schemas of keys go to <topic>-key")},
		{"header.converter*", none("headers are UTF-8 text")},
		{"csfle.enabled", unless("false", encrypted)},
		{"csfle.*", ask(encrypted)},
		{"sr.service.account.id", ask("the bridge needs a key of the registry: registry.username and registry.password")},
	}
}

func clusterRules() []confluentRule {
	const keystore = "kafka.tls takes PEM files, and no keystores"
	return []confluentRule{
		{"confluent.topic.bootstrap.servers", later()},
		{"confluent.topic.security.protocol", later()},
		{"confluent.topic.sasl.mechanism", later()},
		{"confluent.topic.sasl.jaas.config", later()},
		{"confluent.topic.ssl.*", ask(keystore)},
		{"confluent.topic.sasl.*", ask("kafka.sasl knows plain, scram-sha-256 and scram-sha-512 alone")},
		{"confluent.topic*", none("the bridge needs no licence")},
		{"confluent.license*", none("the bridge needs no licence")},
		{"kafka.endpoint", later()},
		{"kafka.api.key", later()},
		{"kafka.api.secret", later()},
		{"kafka.auth.mode", unless("KAFKA_API_KEY", "the bridge needs an API key of the cluster: kafka.sasl")},
		{"kafka.service.account.id", ask("the bridge needs an API key of the cluster: kafka.sasl")},
		{"producer.override.compression.type", as("kafka.compression", map[string]string{"none": "none", "gzip": "gzip", "snappy": "snappy", "lz4": "lz4", "zstd": "zstd"})},
		{"producer.override.*", ask("the bridge's producer has kafka.compression and kafka.transaction_timeout; the rest it settles itself")},
	}
}

func frameworkRules() []confluentRule {
	const exactly = "delivery: exactly_once is what the bridge does unless told otherwise: records and position in one transaction"
	return []confluentRule{
		{"name", (*translator).connectorName},
		{"connector.class", none("it says that streaming is read, which is what the bridge does")},
		{"tasks.max", none("one process reads any number of streams; lanes says how they are spread")},
		{"exactly.once.support", none(exactly)},
		{"transaction.boundary*", none(exactly)},
		{"offsets.storage.topic", none("where bridge positions import finds the replay id")},
		{"reporter.*", none("reports are of sinks; dead letters are in dead_letter.topic")},
		{"auto.restart.on.user.error", none("a stream that halts says so in /readyz, and goes on when the bridge is started again")},
		{"config.action.reload", none("${env:…} and ${file:…} are read at the start")},
		{"transforms", ask("the bridge has no transformations of single messages; topics.routes, map and envelope may do it")},
		{"transforms.*", ask("belongs to transforms")},
		{"predicates", ask("the bridge has no transformations of single messages")},
		{"predicates.*", ask("belongs to predicates")},
		{"_*", none("a remark")},
	}
}
