package storetest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// badPayloads are what programs in other languages may insert. A database refuses some.
var badPayloads = []struct{ what, payload string }{
	{"not JSON", `{"job":`},
	{"empty text", ``},
	{"a list", `[1,2,{"job":"in a list"}]`},
	{"a string", `"job"`},
	{"a number", `42`},
	{"null", `null`},
	{"no name", `{"data":{"order_id":42}}`},
	{"an empty object", `{}`},
	{"a name that is a number", `{"job":5}`},
	{"a name that is an object", `{"job":{"job":"deep"}}`},
	{"a name that is null", `{"job":null}`},
	{"an empty name", `{"job":""}`},
	{"two names", `{"job":"first","job":"second"}`},
	{"an escaped NUL in the data", `{"job":"nul","data":"a\u0000b"}`},
	{"an escaped NUL in the name", `{"job":"a\u0000b"}`},
	{"an escaped NUL in a key", `{"job":"key","da\u0000ta":1}`},
	{"a high surrogate alone", `{"job":"high","data":"\ud83c"}`},
	{"a low surrogate alone", `{"job":"low","data":"\udf89"}`},
	{"surrogates in the wrong order", `{"job":"wrong","data":"\udf89\ud83c"}`},
	{"a surrogate in the name", `{"job":"\ud83c"}`},
	{"a number beyond every type", `{"job":"number","data":1e200000}`},
	{"a number of many digits", `{"job":"digits","data":0.` + strings.Repeat("123456789", 2000) + `}`},
	{"deep nesting", `{"job":"deep","data":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`},
	{"4-byte characters", `{"job":"🎉","data":"😀𝔘𝔫𝔦"}`},
	{"unknown settings", `{"job":"settings","tries":"many","timeout":[],"colour":"red"}`},
	{"spaces everywhere", " \t\r\n{ \"job\" : \"spaces\" , \"data\" : [ 1 , 2 ] } \n"},
}

var badRowsCases = []testCase{
	{
		"A6 rows that others inserted: refused, or stored, reserved and settled as they are",
		"one bad row must not stop a queue",
		insertBadRows,
	},
	{
		"A6 pushed data with NUL and half surrogate pairs hurts only itself",
		"the pushes that share its statement did nothing wrong",
		pushBadData,
	},
	{
		"E6 a name is found however it is written",
		"PHP escapes slashes and letters beyond ASCII, Go does not",
		func(f *fixture) {
			c := f.open()
			f.insert("default", `{"job":"App\/Jobs\/caf\u00e9 \ud83c\udf89"}`)
			f.insert("default", `{"job":"other"}`)
			if _, err := c.Push(f.Context(), sqlqueue.Named("App/Jobs/café 🎉", nil)); err != nil {
				f.Fatal(err)
			}
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{Name: "App/Jobs/café 🎉"})
			f.must(err)
			if len(jobs) != 2 {
				f.Errorf("found %d jobs, want both", len(jobs))
			}
		},
	},
	{
		"E6 names with quotes, backslashes and wildcards are found, and only they",
		"a name is data, not SQL, nor a pattern",
		func(f *fixture) {
			c := f.open()
			names := []string{
				`it's`, `"quoted"`, `back\slash`, `%`, `_`, `a.b`, `$.job`, "tab\tnew\nline", `<b>&amp;</b>`, "日本語", "x", "X", " x",
			}
			for _, name := range names {
				if _, err := c.Push(f.Context(), sqlqueue.Named(name, nil)); err != nil {
					f.Fatal(err)
				}
			}
			for i, name := range names {
				jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{Name: name})
				f.must(err)
				if len(jobs) != 1 {
					f.Errorf("found %d jobs named %q, want 1", len(jobs), names[i])
				}
			}
		},
	},
	{
		"names of members are taken exactly, by filters as by handlers",
		"an operator who cancels by name must meet the jobs that the handler of the name would get",
		func(f *fixture) {
			c := f.open()
			f.insert("default", `{"JOB":"upper","job":"lower","Job":"title","Data":{"id":1},"data":{"ID":2,"id":3}}`)
			f.insert("default", `{"Job":"alone","data":1}`)
			f.insert("default", `{"job":"twice","data":1,"job":"again"}`)
			find := func(filter operator.JobFilter) int {
				f.Helper()
				jobs, err := operator.New(c.Queue).Jobs(f.Context(), filter)
				f.must(err)
				for _, j := range jobs {
					if p, err := sqlqueue.ParsePayload(j.Payload); err == nil && p.Job != filter.Name && filter.Name != "" {
						f.Errorf("by the name %q the job of the handler %q is found", filter.Name, p.Job)
					}
				}
				return len(jobs)
			}
			for name, want := range map[string]int{"lower": 1, "upper": 0, "title": 0, "alone": 0} {
				if n := find(operator.JobFilter{Name: name}); n != want {
					f.Errorf("%d jobs are named %q, want %d", n, name, want)
				}
			}
			for value, want := range map[string]int{"1": 0, "2": 0, "3": 1} {
				if n := find(operator.JobFilter{Fields: []operator.Field{{Path: []string{"id"}, Value: value}}}); n != want {
					f.Errorf("%d jobs have the id %s in their data, want %d", n, value, want)
				}
			}
			if n := find(operator.JobFilter{Name: "twice"}) + find(operator.JobFilter{Name: "again"}); n > 0 {
				f.Error("a job is found by one of two names, and no handler takes it")
			}
		},
	},
	{
		"a job's name is what the handler reads, for every filter, list and group",
		"a database takes the first of two members, another the last, and the worker refuses the job",
		nameDoubtful,
	},
	{
		"a search by name among megabytes of escapes",
		"PHP writes every letter beyond ASCII as an escape, and one such payload must not cost the search minutes",
		func(f *fixture) {
			f.long()
			c := f.open()
			for _, escape := range []string{`\u00e9`, `\ud83c\udf89`, `\\u0000`} {
				f.insert("default", `{"job":"escaped","data":{"id":1,"text":"`+strings.Repeat(escape, 6_000_000/len(escape))+`"}}`)
			}
			for _, filter := range []operator.JobFilter{
				{Name: "escaped"}, {Name: "escaped", PayloadMax: 100}, {Fields: []operator.Field{field("1", "id")}, PayloadMax: 100},
			} {
				if jobs, err := operator.New(c.Queue).Jobs(f.Context(), filter); err != nil || len(jobs) != 3 {
					f.Errorf("%+v: found %d, %v; want 3", filter, len(jobs), err)
				}
			}
			if n, err := operator.New(c.Queue).CancelAll(f.Context(), operator.JobFilter{Name: "escaped"}); n != 3 || err != nil {
				f.Errorf("cancelled %d, %v; want 3", n, err)
			}
		},
	},
	{
		"a payload of 8 MB",
		"it is stored and comes back, or it is refused with a reason; others are not hurt",
		func(f *fixture) { f.pushHuge(1, 8<<20) },
	},
	{
		"twenty payloads of 1 MB in one call",
		"a call of many jobs must not depend on the size of a packet",
		func(f *fixture) { f.pushHuge(20, 1<<20) },
	},
	{
		"an error text of 2 MB",
		"a stack may be long, and the other settlements must not suffer",
		func(f *fixture) {
			f.long()
			c := f.open()
			c.pushMany(2)
			jobs := c.reserve(2, "default")
			text := strings.Repeat("stäck\n", 300_000)
			c.settle(fail(jobs[0], text, text), done(jobs[1]))
			got := c.failedJobs()[0]
			if got.Error != text || got.Stack != text {
				f.Errorf("got %d and %d bytes, want %d", len(got.Error), len(got.Stack), len(text))
			}
		},
	},
	{
		"of an exchange that the database refuses, nothing happened",
		"the worker sends it again in parts, and must find everything as it was",
		func(f *fixture) {
			c := f.open()
			c.pushMany(4)
			jobs := c.reserve(3, "default")
			before := f.dump()
			_, err := c.Exchange(f.Context(), driver.Exchange{
				Settle: []driver.Settlement{done(jobs[0]), fail(jobs[1], "a\x00b", "")}, Touch: []driver.Touch{touch(jobs[2], 0)},
				Number: c.number(), Limit: 1, Reserve: from("default"),
			})
			if err == nil {
				f.Log("this database stores a NUL in a text, so it refused nothing")
				return
			}
			f.unchanged(before)
			c.settle(done(jobs[0]), done(jobs[1]), done(jobs[2]))
		},
	},
	{
		"E6 a bad payload is repaired by an edit of its name and data",
		"a job that no handler could take need not be lost",
		func(f *fixture) {
			c := f.open()
			for _, bad := range []string{`[1]`, `{"data":1}`, `{"job":5}`, `{"job":"a","data":1,"job":"b","data":2}`} {
				f.insert("default", bad)
				id := int64(f.count("SELECT max(id) FROM {jobs}"))
				name := "right"
				before := f.dump()
				if err := operator.New(c.Queue).Edit(f.Context(), id, operator.JobEdit{Data: 2}); err == nil {
					f.Errorf("%s: an edit of the data alone was accepted", bad)
				}
				f.unchanged(before)
				f.must(operator.New(c.Queue).Edit(f.Context(), id, operator.JobEdit{Name: &name, Data: 2}))
				f.samePayload(c.reserve(1, "default")[0].Payload, `{"job":"right","data":2}`)
			}
		},
	},
	{
		"an edited payload may be anything that can be pushed",
		"edit writes it in another way than push",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			other := c.push()
			for _, data := range []string{`"a\u0000b"`, `"\ud83c"`, `"😀"`, `"` + strings.Repeat("x", 1<<20) + `"`} {
				before := f.dump()
				if err := operator.New(c.Queue).Edit(f.Context(), id, operator.JobEdit{Data: json.RawMessage(data)}); err != nil {
					f.Logf("refused: %.20s: %v", data, err)
					f.unchanged(before)
					continue
				}
				f.sameText(c.job(id).Payload, `{"job":"job","data":`+data+`}`)
			}
			f.sameIDs(c.take(9, "default"), id, other)
		},
	},
}

func insertBadRows(f *fixture) {
	c := f.open()
	want := map[int64]string{}
	var ids []int64
	good := func() {
		id, err := c.Push(f.Context(), sqlqueue.Named("good", nil))
		f.must(err)
		want[id] = `{"job":"good","data":null}`
		ids = append(ids, id)
	}
	good()
	for _, bad := range badPayloads {
		if _, err := f.db.SQL.ExecContext(f.Context(), f.sql("INSERT INTO {jobs} (payload) VALUES (?)"), bad.payload); err != nil {
			f.Logf("%s is refused: %v", bad.what, err)
			continue
		}
		f.inserted()
		id := int64(f.count("SELECT max(id) FROM {jobs}"))
		want[id] = bad.payload
		ids = append(ids, id)
		good()
	}

	same := func(what string, jobs []sqlqueue.Job) {
		f.Helper()
		if len(jobs) != len(ids) {
			f.Fatalf("%s: %d jobs, want %d", what, len(jobs), len(ids))
		}
		for _, j := range jobs {
			f.sameText(j.Payload, want[j.ID])
		}
	}
	listed, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
	f.must(err)
	same("listed", listed)
	goods, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{Name: "good"})
	f.must(err)
	if len(goods) != len(ids)/2+1 {
		f.Errorf("%d jobs named good, want %d", len(goods), len(ids)/2+1)
	}
	for _, name := range []string{"nul", "high", "🎉", "settings", "spaces", "in a list", "deep", "none"} {
		if _, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{Name: name}); err != nil {
			f.Errorf("jobs named %q: %v", name, err)
		}
	}
	queues, err := operator.New(c.Queue).Queues(f.Context(), 0)
	if err != nil || len(queues) != 1 || queues[0].Ready != int64(len(ids)) {
		f.Errorf("queues are %+v, %v", queues, err)
	}

	reserved := c.reserve(len(ids), "default")
	same("reserved", reserved)
	var settle []driver.Settlement
	for i, j := range reserved {
		switch i % 4 {
		case 0, 1:
			settle = append(settle, fail(j, "bad", ""))
		case 2:
			settle = append(settle, putBack(j, 0))
		default:
			settle = append(settle, done(j))
		}
	}
	c.settle(settle...)
	failed, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{Limit: 1000})
	f.must(err)
	for _, j := range failed {
		f.sameText(j.Payload, want[j.JobID])
	}
	if _, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{Name: "good"}); err != nil {
		f.Errorf("failed jobs by name: %v", err)
	}
	if n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{}); n != len(failed) || err != nil {
		f.Errorf("retried %d of %d, %v", n, len(failed), err)
	}
	if _, err := operator.New(c.Queue).Clear(f.Context(), "", true); err != nil {
		f.Error(err)
	}
}

func pushBadData(f *fixture) {
	c := f.open()
	for _, data := range []string{
		`"a\u0000b"`, `"\ud83c"`, `"\udf89\ud83c"`, `{"\u0000":1}`, `{"\ud83c":1}`, `1e200000`, `"\ud83c\udf89"`, `"\\u0000"`, `"😀"`,
	} {
		bad := sqlqueue.Named("bad", json.RawMessage(data))
		good := sqlqueue.Named("good", data)
		payload := `{"job":"bad","data":` + data + `}`
		id, err := c.Push(f.Context(), bad)
		if err != nil {
			f.Logf("%s is refused: %v", data, err)
			before := f.dump()
			if _, err := c.PushMany(f.Context(), []sqlqueue.Pushable{good, bad, good}); err == nil {
				f.Errorf("%s is refused alone and taken among others", data)
			}
			f.unchanged(before)
		} else {
			f.sameText(c.job(id).Payload, payload)
			ids, err := c.PushMany(f.Context(), []sqlqueue.Pushable{good, bad, good})
			f.must(err)
			f.sameText(c.job(ids[1]).Payload, payload)
		}

		const callers = 12
		errs := make(chan error, callers)
		for i := range callers {
			go func() {
				job := good
				if i == callers/2 {
					job = bad
				}
				_, pushErr := c.Push(f.Context(), job)
				if i == callers/2 && err != nil {
					pushErr = nil // refused again
				}
				errs <- pushErr
			}()
		}
		for range callers {
			if err := <-errs; err != nil {
				f.Errorf("beside %s: %v", data, err)
			}
		}
	}
	for _, name := range []string{"good", "bad"} {
		if _, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{Name: name}); err != nil {
			f.Errorf("jobs named %q: %v", name, err)
		}
	}
	n := f.count("SELECT count(*) FROM {jobs}")
	jobs := c.reserve(n, "default")
	var settle []driver.Settlement
	for i, j := range jobs {
		if i%2 == 0 {
			settle = append(settle, done(j))
		} else {
			settle = append(settle, fail(j, string(j.Payload), ""))
		}
	}
	c.settle(settle...)
}

// pushHuge pushes n payloads of a size, all or none, and sees that they come back, and that other jobs are not hurt.
func (f *fixture) pushHuge(n, size int) {
	f.long()
	c := f.open()
	before := c.push()
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("huge", strings.Repeat(string(rune('a'+i)), size))
	}
	ids, err := c.PushMany(f.Context(), jobs)
	after := c.push()
	if err != nil {
		f.Logf("refused: %.300v", err)
		f.sameIDs(c.reserve(2, "default"), before, after)
		f.sameIDs(c.take(9, "default"))
		return
	}
	all := append(append([]int64{before}, ids...), after)
	got := c.reserve(n+2, "default")
	f.sameIDs(got, all...)
	var settle []driver.Settlement
	for i, j := range got {
		if 0 < i && i <= n {
			f.sameText(j.Payload, fmt.Sprintf(`{"job":"huge","data":"%s"}`, strings.Repeat(string(rune('a'+i-1)), size)))
		}
		settle = append(settle, done(j))
	}
	settle[1] = fail(got[1], "no", "")
	c.settle(settle...)
	failed := c.failedJobs()
	if len(failed) != 1 || len(failed[0].Payload) < size {
		f.Fatalf("%d failed jobs", len(failed))
	}
	if retried, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{}); retried != 1 || err != nil {
		f.Errorf("retried %d, %v", retried, err)
	}
}

// sameText compares payloads that a JSON parser may refuse, or change: byte by byte, or as JSON with other spaces.
func (f *fixture) sameText(got []byte, want string) {
	f.Helper()
	strip := func(s string) string { return strings.Join(strings.Fields(s), "") }
	if string(got) != want && (len(got) == 0 || strip(string(got)) != strip(want)) {
		f.Errorf("got payload %.200q, want %.200q", got, want)
	}
}
