//! The hypercalls, one row each: number in R3, which function of the simulated ultravisor serves it for a secure guest
//! (`crate::sim::reflect::hypercalls`), and how many registers go to the hypervisor and come back (power-pef §8.4, §8.5).
//!
//! | served by | what becomes of the call |
//! |---|---|
//! | `reflected` | the hypervisor gets it |
//! | `random`, `cede`, `rtas` | the ultravisor has a part in it |
//! | `unusable` | the ultravisor knows the number; a secure VM cannot use it |
//! | `unknown` | the ultravisor makes the call itself; from a guest it is none |

/// Gives all rows to the macro `$each`.
macro_rules! hypercalls {
    ($each:ident) => {
        $each! {
            H_REMOVE = 0x4, reflected(6, 3);
            H_ENTER = 0x8, reflected(7, 2);
            H_READ = 0xc, reflected(3, 9);
            H_CLEAR_MOD = 0x10, reflected(3, 2);
            H_CLEAR_REF = 0x14, reflected(3, 2);
            H_PROTECT = 0x18, reflected(4, 1);
            H_GET_TCE = 0x1c, reflected(3, 2);
            H_PUT_TCE = 0x20, reflected(4, 1);
            H_SET_SPRG0 = 0x24, reflected(2, 1);
            H_SET_DABR = 0x28, reflected(2, 1);
            H_PAGE_INIT = 0x2c, reflected(4, 1);
            H_SET_ASR = 0x30, unusable;
            H_ASR_ON = 0x34, unusable;
            H_ASR_OFF = 0x38, unusable;
            /// Load from a device, for a secure guest by the ultravisor.
            H_LOGICAL_CI_LOAD = 0x3c, reflected(3, 2);
            /// Store to a device, for a secure guest by the ultravisor.
            H_LOGICAL_CI_STORE = 0x40, reflected(4, 1);
            H_LOGICAL_CACHE_LOAD = 0x44, unusable;
            H_LOGICAL_CACHE_STORE = 0x48, unusable;
            H_LOGICAL_ICBI = 0x4c, unusable;
            H_LOGICAL_DCBF = 0x50, unusable;
            H_GET_TERM_CHAR = 0x54, reflected(2, 4);
            H_PUT_TERM_CHAR = 0x58, reflected(5, 1);
            H_REAL_TO_LOGICAL = 0x5c, unusable;
            H_HYPERVISOR_DATA = 0x60, reflected(2, 9);
            H_EOI = 0x64, reflected(2, 1);
            H_CPPR = 0x68, reflected(2, 1);
            H_IPI = 0x6c, reflected(3, 1);
            H_IPOLL = 0x70, reflected(2, 3);
            H_XIRR = 0x74, reflected(1, 2);
            H_MIGRATE_DMA = 0x78, reflected(4, 1);
            H_PERFMON = 0x7c, reflected(3, 2);
            /// Registers a virtual processor area.
            H_REGISTER_VPA = 0xdc, reflected(4, 1);
            /// The guest waits for an interrupt.
            H_CEDE = 0xe0, cede(1, 1);
            H_CONFER = 0xe4, reflected(3, 1);
            H_PROD = 0xe8, reflected(2, 1);
            H_GET_PPP = 0xec, reflected(1, 6);
            H_SET_PPP = 0xf0, reflected(3, 1);
            H_PURR = 0xf4, reflected(1, 2);
            H_PIC = 0xf8, reflected(4, 1);
            H_REG_CRQ = 0xfc, reflected(4, 1);
            H_FREE_CRQ = 0x100, reflected(2, 1);
            H_VIO_SIGNAL = 0x104, reflected(3, 1);
            H_SEND_CRQ = 0x108, reflected(4, 1);
            H_COPY_RDMA = 0x110, reflected(6, 9);
            H_REGISTER_LOGICAL_LAN = 0x114, reflected(6, 1);
            H_FREE_LOGICAL_LAN = 0x118, reflected(2, 1);
            H_ADD_LOGICAL_LAN_BUFFER = 0x11c, reflected(3, 1);
            H_SEND_LOGICAL_LAN = 0x120, reflected(9, 1);
            H_BULK_REMOVE = 0x124, reflected(9, 2);
            H_MULTICAST_CTRL = 0x130, reflected(4, 2);
            H_SET_XDABR = 0x134, reflected(3, 1);
            H_STUFF_TCE = 0x138, reflected(5, 1);
            H_PUT_TCE_INDIRECT = 0x13c, reflected(5, 1);
            H_CHANGE_LOGICAL_LAN_MAC = 0x14c, reflected(3, 1);
            H_VTERM_PARTNER_INFO = 0x150, reflected(5, 1);
            H_REGISTER_VTERM = 0x154, reflected(4, 1);
            H_FREE_VTERM = 0x158, reflected(2, 1);
            H_RESET_EVENTS = 0x15c, unusable;
            H_ALLOC_RESOURCE = 0x160, unusable;
            H_FREE_RESOURCE = 0x164, unusable;
            H_MODIFY_QP = 0x168, unusable;
            H_QUERY_QP = 0x16c, unusable;
            H_REREGISTER_PMR = 0x170, unusable;
            H_REGISTER_SMR = 0x174, unusable;
            H_QUERY_MR = 0x178, unusable;
            H_QUERY_MW = 0x17c, unusable;
            H_QUERY_HCA = 0x180, unusable;
            H_QUERY_PORT = 0x184, unusable;
            H_MODIFY_PORT = 0x188, unusable;
            H_DEFINE_AQP1 = 0x18c, unusable;
            H_GET_TRACE_BUFFER = 0x190, unusable;
            H_DEFINE_AQP0 = 0x194, unusable;
            H_RESIZE_MR = 0x198, unusable;
            H_ATTACH_MCQP = 0x19c, unusable;
            H_DETACH_MCQP = 0x1a0, unusable;
            H_CREATE_RPT = 0x1a4, unusable;
            H_REMOVE_RPT = 0x1a8, unusable;
            H_REGISTER_RPAGES = 0x1ac, unusable;
            H_DISABLE_AND_GETC = 0x1b0, unusable;
            H_ERROR_DATA = 0x1b4, unusable;
            H_GET_HCA_INFO = 0x1b8, unusable;
            H_GET_PERF_COUNT = 0x1bc, unusable;
            H_MANAGE_TRACE = 0x1c0, unusable;
            H_GET_CPU_CHARACTERISTICS = 0x1c8, reflected(2, 3);
            H_FREE_LOGICAL_LAN_BUFFER = 0x1d4, reflected(3, 1);
            H_POLL_PENDING = 0x1d8, reflected(1, 1);
            H_QUERY_INT_STATE = 0x1e4, unusable;
            H_ILLAN_ATTRIBUTES = 0x244, reflected(4, 2);
            H_MODIFY_HEA_QP = 0x250, unusable;
            H_QUERY_HEA_QP = 0x254, unusable;
            H_QUERY_HEA = 0x258, unusable;
            H_QUERY_HEA_PORT = 0x25c, unusable;
            H_MODIFY_HEA_PORT = 0x260, unusable;
            H_REG_BCMC = 0x264, unusable;
            H_DEREG_BCMC = 0x268, unusable;
            H_REGISTER_HEA_RPAGES = 0x26c, unusable;
            H_DISABLE_AND_GET_HEA = 0x270, unusable;
            H_GET_HEA_INFO = 0x274, unusable;
            H_ALLOC_HEA_RESOURCE = 0x278, unusable;
            H_ADD_CONN = 0x284, unusable;
            H_DEL_CONN = 0x288, unusable;
            H_JOIN = 0x298, reflected(1, 1);
            H_VASI_STATE = 0x2a4, reflected(2, 2);
            H_VIOCTL = 0x2a8, reflected(6, 1);
            H_ENABLE_CRQ = 0x2b0, reflected(2, 1);
            H_GET_EM_PARMS = 0x2b8, reflected(1, 7);
            H_SET_MPP = 0x2d0, reflected(3, 1);
            H_GET_MPP = 0x2d4, reflected(1, 8);
            H_REG_SUB_CRQ = 0x2dc, reflected(4, 3);
            H_FREE_SUB_CRQ = 0x2e0, reflected(3, 1);
            H_SEND_SUB_CRQ = 0x2e4, reflected(7, 1);
            H_SEND_SUB_CRQ_INDIRECT = 0x2e8, reflected(5, 1);
            H_HOME_NODE_ASSOCIATIVITY = 0x2ec, reflected(3, 7);
            H_BEST_ENERGY = 0x2f4, reflected(10, 3);
            H_XIRR_X = 0x2fc, reflected(2, 3);
            /// A random number.
            H_RANDOM = 0x300, random(2, 2);
            H_COP = 0x304, reflected(8, 1);
            H_GET_MPP_X = 0x314, reflected(1, 8);
            H_SET_MODE = 0x31c, reflected(5, 1);
            H_BLOCK_REMOVE = 0x328, reflected(10, 1);
            H_CLEAR_HPT = 0x358, reflected(1, 1);
            H_REQUEST_VMC = 0x360, unusable;
            H_RESIZE_HPT_PREPARE = 0x36c, reflected(3, 1);
            H_RESIZE_HPT_COMMIT = 0x370, reflected(3, 1);
            H_REGISTER_PROC_TBL = 0x37c, reflected(5, 1);
            H_SIGNAL_SYS_RESET = 0x380, reflected(2, 1);
            H_INT_GET_SOURCE_INFO = 0x3a8, reflected(3, 5);
            H_INT_SET_SOURCE_CONFIG = 0x3ac, reflected(6, 1);
            H_INT_GET_SOURCE_CONFIG = 0x3b0, unusable;
            H_INT_GET_QUEUE_INFO = 0x3b4, reflected(4, 3);
            H_INT_SET_QUEUE_CONFIG = 0x3b8, reflected(6, 1);
            H_INT_GET_QUEUE_CONFIG = 0x3bc, unusable;
            H_INT_SET_OS_REPORTING_LINE = 0x3c0, unusable;
            H_INT_GET_OS_REPORTING_LINE = 0x3c4, unusable;
            H_INT_ESB = 0x3c8, reflected(5, 2);
            H_INT_SYNC = 0x3cc, reflected(3, 1);
            H_INT_RESET = 0x3d0, reflected(2, 1);
            H_SCM_READ_METADATA = 0x3e4, reflected(4, 2);
            H_SCM_WRITE_METADATA = 0x3e8, reflected(5, 1);
            H_SCM_BIND_MEM = 0x3ec, reflected(6, 2);
            H_SCM_UNBIND_MEM = 0x3f0, reflected(5, 2);
            H_SCM_QUERY_BLOCK_MEM_BINDING = 0x3f4, unusable;
            H_SCM_QUERY_LOGICAL_MEM_BINDING = 0x3f8, unusable;
            H_SCM_MEM_QUERY = 0x3fc, unusable;
            H_SCM_BLOCK_CLEAR = 0x400, unusable;
            /// Bring a page in, secure or shared. R4 gpa, R5 flags, R6 page shift.
            H_SVM_PAGE_IN = 0xef00, reflected(4, 1);
            /// Take a page out. R4 gpa, R5 flags, R6 page shift.
            H_SVM_PAGE_OUT = 0xef04, reflected(4, 1);
            /// A VM begins to become secure.
            H_SVM_INIT_START = 0xef08, reflected(1, 1);
            /// A VM is about to be secure.
            H_SVM_INIT_DONE = 0xef0c, reflected(1, 1);
            /// A command for the TPM.
            H_SVM_TPM_COMM = 0xef10, unknown;
            /// A VM failed to become secure.
            H_SVM_INIT_ABORT = 0xef14, unknown;
            /// A call of run-time services.
            H_RTAS = 0xf000, rtas(2, 2);
            H_GET_24X7_CATALOG_PAGE = 0xf078, reflected(4, 1);
            H_GET_24X7_DATA = 0xf07c, reflected(5, 1);
            H_GET_PERF_COUNTER_INFO = 0xf080, reflected(3, 1);
            H_SET_PARTITION_TABLE = 0xf800, reflected(2, 1);
            H_ENTER_NESTED = 0xf804, reflected(3, 1);
            H_TLB_INVALIDATE = 0xf808, reflected(4, 1);
            H_COPY_TOFROM_GUEST = 0xf80c, reflected(7, 1);
        }
    };
}
pub(crate) use hypercalls;
