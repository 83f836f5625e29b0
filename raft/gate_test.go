package raft

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// formatFields lists every field that is reachable from Command and State, with its type and its tags.
func formatFields() map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField)
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(t.Elem())
			return
		}
		if t.Kind() != reflect.Struct || seen[t] || slices.Contains(leafTypes(), t) {
			return
		}
		seen[t] = true
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				fields[t.String()+"."+f.Name] = f
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[Command]())
	walk(reflect.TypeFor[State]())
	return fields
}

// firstFormat is what version 1 consists of: a list of fields that no later version may change.
func firstFormat(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("formats", "version1", "fields.txt"))
	require.NoError(t, err)
	fields := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		name, form, found := strings.Cut(strings.TrimSpace(line), " ")
		require.True(t, found, line)
		fields[name] = form
	}
	return fields
}

func form(f reflect.StructField) string {
	return strings.TrimSpace(f.Type.String() + " " + f.Tag.Get("json"))
}

// Whoever adds a field to a command or to the state without saying which version brought it stops every
// coordinator of the previous release in a rolling upgrade.
func TestFormat_everyNewFieldSaysItsVersion(t *testing.T) {
	first := firstFormat(t)
	fields := formatFields()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		since, _ := sinceVersion(f)
		if old, isOld := first[name]; isOld {
			require.Equal(t, old, form(f), "%s is of version 1 and may not change", name)
			require.Equal(t, VersionFirst, since, "%s is of version 1", name)
			continue
		}
		owner := name[:strings.LastIndex(name, ".")]
		if !slices.ContainsFunc(slices.Collect(maps.Keys(first)), func(s string) bool {
			return strings.HasPrefix(s, owner+".")
		}) {
			continue // of a type that only newer fields have
		}
		require.True(t, since > VersionFirst && since <= VersionLatest,
			"%s is new: give it the tag `since:\"%d\"` (CONTRIBUTING.md, \"Versions\")", name, VersionLatest)
		require.Regexp(t, ",omit(empty|zero)", f.Tag.Get("json"),
			"%s: an older release must not meet the field while it is not in use", name)
	}
	for name := range first {
		require.Contains(t, fields, name, "a field of version 1 is gone: its entries can no longer be read")
	}
}

// A log that the previous release wrote gives the same state and the same answers, so that replicas of both
// releases agree while a cluster is upgraded. What Apply does otherwise since then stands behind State.Uses.
func TestFormat_logsOfTheFirstReleaseGiveTheSameState(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("formats", "version1", "log*.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) { replayFirst(t, path) })
	}
}

// replayFirst reads a recorded state, then commands and answers in turn, then the state that they led to.
func replayFirst(t *testing.T, path string) {
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	text, err := gzip.NewReader(f)
	require.NoError(t, err)
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 16<<20)
	require.True(t, lines.Scan())
	state := decodeState(t, lines.Bytes())
	commands := 0
	for lines.Scan() {
		line := slices.Clone(lines.Bytes())
		if !lines.Scan() {
			require.JSONEq(t, string(line), string(mustJSON(t, state)))
			require.Greater(t, commands, 100)
			return
		}
		commands++
		cmd, err := decodeCommand(checksummed(line))
		require.NoError(t, err)
		require.JSONEq(t, lines.Text(), string(mustJSON(t, state.Apply(cmd))), string(line))
	}
	t.Fatal("the recording ends early")
}

func TestGate(t *testing.T) {
	raise := Command{RaiseVersion: &RaiseVersion{To: 2}}
	_, refusal := raise.Gate(1)
	require.Nil(t, refusal)
	raise.RaiseVersion.To = VersionLatest + 1
	_, refusal = raise.Gate(1)
	require.ErrorContains(t, refusal, "is unknown", "its proposer would stop itself")
	_, refusal = Command{CreateVolume: &CreateVolume{Name: "web", Layout: volume.Parity(4, 2)}}.Gate(1)
	require.ErrorContains(t, refusal, "needs cluster version 2", "coordinators of version 1 know no chunks")
	_, refusal = Command{CreateVolume: &CreateVolume{Name: "web", Layout: volume.Mirror(2)}}.Gate(1)
	require.Nil(t, refusal)
	old := Command{StopDomain: &StopDomain{Name: "web"}}
	got, refusal := old.Gate(1)
	require.Nil(t, refusal)
	require.Equal(t, old, got)
}

// The rules of the tag, on a type of its own: no command of today may be needed to show them.
func TestGate_tags(t *testing.T) {
	type leg struct {
		Name string
		Rack string `json:"rack,omitempty" since:"2,drop"`
	}
	type order struct {
		ID   volume.UUID
		Mode string `json:"mode,omitempty" since:"3"`
		Legs []leg  `json:"legs"`
		More *order `json:"more"`
	}
	names := func(o order, version int) (names []string) {
		for _, u := range laterUses(reflect.ValueOf(&o), version) {
			names = append(names, fmt.Sprintf("%s %d %t", u.name, u.since, u.drop))
		}
		return names
	}
	full := order{Mode: "x", Legs: []leg{{"a", ""}, {"b", "r1"}}, More: &order{Mode: "y"}}
	require.Equal(t, []string{"mode 3 false", "rack 2 true", "mode 3 false"}, names(full, 1))
	require.Equal(t, []string{"mode 3 false", "mode 3 false"}, names(full, 2))
	require.Empty(t, names(full, 3))
	require.Empty(t, names(order{Legs: []leg{{"a", ""}}}, 1), "what is not in use is no matter")
	for _, u := range laterUses(reflect.ValueOf(&full), 1) {
		u.value.SetZero()
	}
	require.Equal(t, order{Legs: []leg{{"a", ""}, {"b", ""}}, More: &order{}}, full)
}

// later is a type with a value that version 3 brought.
type later string

func (l later) Since() int {
	if l == "new" {
		return 3
	}
	return 1
}

// A value may be newer than its field: coordinators that do not know it would answer otherwise than those that do.
func TestGate_values(t *testing.T) {
	type order struct {
		Kind later `json:"kind"`
	}
	uses := laterUses(reflect.ValueOf(order{"new"}), 2)
	require.Len(t, uses, 1)
	require.Equal(t, "kind new", uses[0].name)
	require.Equal(t, 3, uses[0].since)
	require.False(t, uses[0].drop)
	require.Empty(t, laterUses(reflect.ValueOf(order{"new"}), 3))
	require.Empty(t, laterUses(reflect.ValueOf(order{"old"}), 1))
}

// No kind of export is set before every coordinator knows it. That the command itself is of version 2 is not what
// holds it: the next kind comes later.
func TestGate_kindsOfExports(t *testing.T) {
	for _, kind := range volume.ExportKinds() {
		require.True(t, kind.Since() >= VersionFirst && kind.Since() <= VersionLatest, kind)
		c := &SetExport{Kind: kind, Address: "127.0.0.1:13260"}
		require.Empty(t, laterUses(reflect.ValueOf(c), kind.Since()), kind)
		if kind.Since() == VersionFirst {
			continue
		}
		require.Len(t, laterUses(reflect.ValueOf(c), kind.Since()-1), 1, kind)
		_, refusal := Command{SetExport: c}.Gate(kind.Since() - 1)
		require.ErrorContains(t, refusal, fmt.Sprintf("needs cluster version %d", kind.Since()), kind)
	}
}

func TestRaiseVersion(t *testing.T) {
	s := NewState()
	require.Equal(t, 1, s.Version)
	for range 2 {
		require.Nil(t, s.Apply(Command{RaiseVersion: &RaiseVersion{To: 2}}).Err)
		require.Equal(t, 2, s.Version)
		require.Len(t, s.Events, 1)
	}
	require.Nil(t, s.Apply(Command{RaiseVersion: &RaiseVersion{To: 1}}).Err, "a late duplicate")
	require.True(t, s.Uses(2))
	data, err := encodeCommand(Command{RaiseVersion: &RaiseVersion{To: VersionLatest + 1}})
	require.NoError(t, err)
	_, err = decodeCommand(data)
	require.ErrorIs(t, err, ErrNewer, "the replica stops: it cannot know what follows")
}
