// Package maven gets Java programs for tests out of Maven artifacts and keeps
// them in the user's cache directory.
//
// # What it does
//
// [Cached] makes a directory once and finds it again ever after.
// [Dependencies] and [Artifact] fill such a directory by running the user's own
// mvn with the user's own settings, so that mirrors, proxies and credentials are
// whatever the machine has. [Java] finds a Java that is new enough.
//
// # What it promises
//
// A directory that [Cached] returns is complete: it is made under a temporary
// name and renamed at the end, so that a cut download never looks like a whole
// one. Several processes may ask for the same directory at once; one makes it,
// the others wait for it. What is cached already needs neither mvn nor network.
//
// # What it does not do
//
// It never removes what it cached, and it checks no contents: the name is the
// key, so whoever changes what is made must change the name.
//
// # Concurrency
//
// Every function may be called from several goroutines and processes.
//
// # Errors
//
// A missing tool is a [*ToolError], a run of mvn that did not succeed a
// [*RunError] with the end of its output. Both mean that the machine does not
// have what the test needs, not that the test found something.
package maven
