package iscsi

// TaskFunction is a task management function (RFC 7143 §11.5.1).
type TaskFunction byte

// The task management functions.
const (
	AbortTask         TaskFunction = 1
	AbortTaskSet      TaskFunction = 2
	ClearACA          TaskFunction = 3
	ClearTaskSet      TaskFunction = 4
	LogicalUnitReset  TaskFunction = 5
	TargetWarmReset   TaskFunction = 6
	TargetColdReset   TaskFunction = 7
	TaskReassign      TaskFunction = 8
	QueryTask         TaskFunction = 9
	QueryTaskSet      TaskFunction = 10
	ITNexusReset      TaskFunction = 11
	QueryAsyncEvent   TaskFunction = 12
	taskFunctionsMask              = 0x7f
)

// TaskResponseCode answers a task management function (RFC 7143 §11.6.1).
type TaskResponseCode byte

// The task management responses.
const (
	FunctionComplete         TaskResponseCode = 0
	TaskDoesNotExist         TaskResponseCode = 1
	LUNDoesNotExist          TaskResponseCode = 2
	TaskStillAllegiant       TaskResponseCode = 3
	ReassignmentNotSupported TaskResponseCode = 4
	FunctionNotSupported     TaskResponseCode = 5
	FunctionAuthFailed       TaskResponseCode = 6
	FunctionSucceeded        TaskResponseCode = 7
	FunctionRejected         TaskResponseCode = 255
)

// TaskRequest is the Task Management Function Request PDU (RFC 7143 §11.5).
type TaskRequest struct {
	Immediate bool
	Function  TaskFunction
	LUN       uint64
	ITT       uint32
	RefTag    uint32 // the task of AbortTask and TaskReassign, else ReservedTag
	CmdSN     Serial
	ExpStatSN Serial
	RefCmdSN  Serial
	ExpDataSN Serial
}

// ParseTaskRequest decodes a Task Management Function Request.
func ParseTaskRequest(h *BHS) (TaskRequest, error) {
	if err := h.expect(OpTaskRequest); err != nil {
		return TaskRequest{}, err
	}
	return TaskRequest{
		Immediate: h.Immediate(),
		Function:  TaskFunction(h[1] & taskFunctionsMask),
		LUN:       h.u64(8),
		ITT:       h.ITT(),
		RefTag:    h.u32(20),
		CmdSN:     h.sn(24),
		ExpStatSN: h.sn(28),
		RefCmdSN:  h.sn(32),
		ExpDataSN: h.sn(36),
	}, nil
}

// Encode writes the header.
func (p *TaskRequest) Encode(h *BHS) {
	h.start(OpTaskRequest, p.Immediate, finalBit|byte(p.Function)&taskFunctionsMask)
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.RefTag)
	h.putSN(24, p.CmdSN)
	h.putSN(28, p.ExpStatSN)
	h.putSN(32, p.RefCmdSN)
	h.putSN(36, p.ExpDataSN)
}

// TaskResponse is the Task Management Function Response PDU (RFC 7143 §11.6).
type TaskResponse struct {
	Response TaskResponseCode
	ITT      uint32
	StatSN   Serial
	ExpCmdSN Serial
	MaxCmdSN Serial
}

// ParseTaskResponse decodes a Task Management Function Response.
func ParseTaskResponse(h *BHS) (TaskResponse, error) {
	if err := h.expect(OpTaskResponse); err != nil {
		return TaskResponse{}, err
	}
	return TaskResponse{Response: TaskResponseCode(h[2]), ITT: h.ITT(),
		StatSN: h.sn(24), ExpCmdSN: h.sn(28), MaxCmdSN: h.sn(32)}, nil
}

// Encode writes the header.
func (p *TaskResponse) Encode(h *BHS) {
	h.start(OpTaskResponse, false, finalBit)
	h[2] = byte(p.Response)
	h.putU32(16, p.ITT)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
}
