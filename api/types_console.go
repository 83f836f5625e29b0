package api

// OpenConsole asks for a domain's console.
type OpenConsole struct {
	// Session is chosen by the caller, so that a request repeated after a lost answer is the same user's.
	Session string `json:"session" doc:"a fresh UUID, by which what is typed belongs to it"`
	Take    bool   `json:"take,omitempty" doc:"send away whoever has it"`
}

// ConsoleOutput is one line of a console's stream. A line names the host when the console of the guest there begins:
// first, and again whenever the domain has moved.
type ConsoleOutput struct {
	Host  string `json:"host,omitempty" doc:"where the guest runs that speaks from here on"`
	Data  []byte `json:"data,omitempty" doc:"what the guest wrote, base64"`
	Error *Error `json:"error,omitempty" doc:"why the stream ends"`
}

// TypeConsole is what somebody at a console typed.
type TypeConsole struct {
	Session string `json:"session" doc:"that the console was opened with"`
	// At makes a request that is repeated after a lost answer type once.
	At   uint64 `json:"at" doc:"how many bytes the session has typed before"`
	Data []byte `json:"data" doc:"base64"`
}

// TypeMax is how many bytes may be typed at once.
const TypeMax = 16 << 10
