//! Which general registers a hypercall of a secure guest carries (power-pef §8.4).
//!
//! One row for each hypercall: how many registers go to the hypervisor and how many come back, both counted from R3. A
//! register outside of its window never shows a guest value to the hypervisor, and never takes one from it.

/// How many registers go out and come back, counted from R3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// R3 … R(2 + inputs) go to the hypervisor.
    pub inputs: usize,
    /// R3 … R(2 + outputs) come back.
    pub outputs: usize,
}

/// One hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HcallRow {
    /// Name in the hypervisor's interface.
    pub name: &'static str,
    /// Number in R3.
    pub number: u64,
    /// Its window; `None`: known, but not usable from a secure VM.
    pub window: Option<Window>,
}

const fn row(name: &'static str, number: u64, inputs: usize, outputs: usize) -> HcallRow {
    HcallRow { name, number, window: Some(Window { inputs, outputs }) }
}

const fn unusable(name: &'static str, number: u64) -> HcallRow {
    HcallRow { name, number, window: None }
}

/// Every hypercall the ultravisor knows, by number.
pub const HCALLS: &[HcallRow] = &[
    row("H_REMOVE", 0x4, 6, 3),
    row("H_ENTER", 0x8, 7, 2),
    row("H_READ", 0xc, 3, 9),
    row("H_CLEAR_MOD", 0x10, 3, 2),
    row("H_CLEAR_REF", 0x14, 3, 2),
    row("H_PROTECT", 0x18, 4, 1),
    row("H_GET_TCE", 0x1c, 3, 2),
    row("H_PUT_TCE", 0x20, 4, 1),
    row("H_SET_SPRG0", 0x24, 2, 1),
    row("H_SET_DABR", 0x28, 2, 1),
    row("H_PAGE_INIT", 0x2c, 4, 1),
    unusable("H_SET_ASR", 0x30),
    unusable("H_ASR_ON", 0x34),
    unusable("H_ASR_OFF", 0x38),
    row("H_LOGICAL_CI_LOAD", 0x3c, 3, 2),
    row("H_LOGICAL_CI_STORE", 0x40, 4, 1),
    unusable("H_LOGICAL_CACHE_LOAD", 0x44),
    unusable("H_LOGICAL_CACHE_STORE", 0x48),
    unusable("H_LOGICAL_ICBI", 0x4c),
    unusable("H_LOGICAL_DCBF", 0x50),
    row("H_GET_TERM_CHAR", 0x54, 2, 4),
    row("H_PUT_TERM_CHAR", 0x58, 5, 1),
    unusable("H_REAL_TO_LOGICAL", 0x5c),
    row("H_HYPERVISOR_DATA", 0x60, 2, 9),
    row("H_EOI", 0x64, 2, 1),
    row("H_CPPR", 0x68, 2, 1),
    row("H_IPI", 0x6c, 3, 1),
    row("H_IPOLL", 0x70, 2, 3),
    row("H_XIRR", 0x74, 1, 2),
    row("H_MIGRATE_DMA", 0x78, 4, 1),
    row("H_PERFMON", 0x7c, 3, 2),
    row("H_REGISTER_VPA", 0xdc, 4, 1),
    row("H_CEDE", 0xe0, 1, 1),
    row("H_CONFER", 0xe4, 3, 1),
    row("H_PROD", 0xe8, 2, 1),
    row("H_GET_PPP", 0xec, 1, 6),
    row("H_SET_PPP", 0xf0, 3, 1),
    row("H_PURR", 0xf4, 1, 2),
    row("H_PIC", 0xf8, 4, 1),
    row("H_REG_CRQ", 0xfc, 4, 1),
    row("H_FREE_CRQ", 0x100, 2, 1),
    row("H_VIO_SIGNAL", 0x104, 3, 1),
    row("H_SEND_CRQ", 0x108, 4, 1),
    row("H_COPY_RDMA", 0x110, 6, 9),
    row("H_REGISTER_LOGICAL_LAN", 0x114, 6, 1),
    row("H_FREE_LOGICAL_LAN", 0x118, 2, 1),
    row("H_ADD_LOGICAL_LAN_BUFFER", 0x11c, 3, 1),
    row("H_SEND_LOGICAL_LAN", 0x120, 9, 1),
    row("H_BULK_REMOVE", 0x124, 9, 2),
    row("H_MULTICAST_CTRL", 0x130, 4, 2),
    row("H_SET_XDABR", 0x134, 3, 1),
    row("H_STUFF_TCE", 0x138, 5, 1),
    row("H_PUT_TCE_INDIRECT", 0x13c, 5, 1),
    row("H_CHANGE_LOGICAL_LAN_MAC", 0x14c, 3, 1),
    row("H_VTERM_PARTNER_INFO", 0x150, 5, 1),
    row("H_REGISTER_VTERM", 0x154, 4, 1),
    row("H_FREE_VTERM", 0x158, 2, 1),
    unusable("H_RESET_EVENTS", 0x15c),
    unusable("H_ALLOC_RESOURCE", 0x160),
    unusable("H_FREE_RESOURCE", 0x164),
    unusable("H_MODIFY_QP", 0x168),
    unusable("H_QUERY_QP", 0x16c),
    unusable("H_REREGISTER_PMR", 0x170),
    unusable("H_REGISTER_SMR", 0x174),
    unusable("H_QUERY_MR", 0x178),
    unusable("H_QUERY_MW", 0x17c),
    unusable("H_QUERY_HCA", 0x180),
    unusable("H_QUERY_PORT", 0x184),
    unusable("H_MODIFY_PORT", 0x188),
    unusable("H_DEFINE_AQP1", 0x18c),
    unusable("H_GET_TRACE_BUFFER", 0x190),
    unusable("H_DEFINE_AQP0", 0x194),
    unusable("H_RESIZE_MR", 0x198),
    unusable("H_ATTACH_MCQP", 0x19c),
    unusable("H_DETACH_MCQP", 0x1a0),
    unusable("H_CREATE_RPT", 0x1a4),
    unusable("H_REMOVE_RPT", 0x1a8),
    unusable("H_REGISTER_RPAGES", 0x1ac),
    unusable("H_DISABLE_AND_GETC", 0x1b0),
    unusable("H_ERROR_DATA", 0x1b4),
    unusable("H_GET_HCA_INFO", 0x1b8),
    unusable("H_GET_PERF_COUNT", 0x1bc),
    unusable("H_MANAGE_TRACE", 0x1c0),
    row("H_GET_CPU_CHARACTERISTICS", 0x1c8, 2, 3),
    row("H_FREE_LOGICAL_LAN_BUFFER", 0x1d4, 3, 1),
    row("H_POLL_PENDING", 0x1d8, 1, 1),
    unusable("H_QUERY_INT_STATE", 0x1e4),
    row("H_ILLAN_ATTRIBUTES", 0x244, 4, 2),
    unusable("H_MODIFY_HEA_QP", 0x250),
    unusable("H_QUERY_HEA_QP", 0x254),
    unusable("H_QUERY_HEA", 0x258),
    unusable("H_QUERY_HEA_PORT", 0x25c),
    unusable("H_MODIFY_HEA_PORT", 0x260),
    unusable("H_REG_BCMC", 0x264),
    unusable("H_DEREG_BCMC", 0x268),
    unusable("H_REGISTER_HEA_RPAGES", 0x26c),
    unusable("H_DISABLE_AND_GET_HEA", 0x270),
    unusable("H_GET_HEA_INFO", 0x274),
    unusable("H_ALLOC_HEA_RESOURCE", 0x278),
    unusable("H_ADD_CONN", 0x284),
    unusable("H_DEL_CONN", 0x288),
    row("H_JOIN", 0x298, 1, 1),
    row("H_VASI_STATE", 0x2a4, 2, 2),
    row("H_VIOCTL", 0x2a8, 6, 1),
    row("H_ENABLE_CRQ", 0x2b0, 2, 1),
    row("H_GET_EM_PARMS", 0x2b8, 1, 7),
    row("H_SET_MPP", 0x2d0, 3, 1),
    row("H_GET_MPP", 0x2d4, 1, 8),
    row("H_REG_SUB_CRQ", 0x2dc, 4, 3),
    row("H_FREE_SUB_CRQ", 0x2e0, 3, 1),
    row("H_SEND_SUB_CRQ", 0x2e4, 7, 1),
    row("H_SEND_SUB_CRQ_INDIRECT", 0x2e8, 5, 1),
    row("H_HOME_NODE_ASSOCIATIVITY", 0x2ec, 3, 7),
    row("H_BEST_ENERGY", 0x2f4, 10, 3),
    row("H_XIRR_X", 0x2fc, 2, 3),
    row("H_RANDOM", 0x300, 2, 2),
    row("H_COP", 0x304, 8, 1),
    row("H_GET_MPP_X", 0x314, 1, 8),
    row("H_SET_MODE", 0x31c, 5, 1),
    row("H_BLOCK_REMOVE", 0x328, 10, 1),
    row("H_CLEAR_HPT", 0x358, 1, 1),
    unusable("H_REQUEST_VMC", 0x360),
    row("H_RESIZE_HPT_PREPARE", 0x36c, 3, 1),
    row("H_RESIZE_HPT_COMMIT", 0x370, 3, 1),
    row("H_REGISTER_PROC_TBL", 0x37c, 5, 1),
    row("H_SIGNAL_SYS_RESET", 0x380, 2, 1),
    row("H_INT_GET_SOURCE_INFO", 0x3a8, 3, 5),
    row("H_INT_SET_SOURCE_CONFIG", 0x3ac, 6, 1),
    unusable("H_INT_GET_SOURCE_CONFIG", 0x3b0),
    row("H_INT_GET_QUEUE_INFO", 0x3b4, 4, 3),
    row("H_INT_SET_QUEUE_CONFIG", 0x3b8, 6, 1),
    unusable("H_INT_GET_QUEUE_CONFIG", 0x3bc),
    unusable("H_INT_SET_OS_REPORTING_LINE", 0x3c0),
    unusable("H_INT_GET_OS_REPORTING_LINE", 0x3c4),
    row("H_INT_ESB", 0x3c8, 5, 2),
    row("H_INT_SYNC", 0x3cc, 3, 1),
    row("H_INT_RESET", 0x3d0, 2, 1),
    row("H_SCM_READ_METADATA", 0x3e4, 4, 2),
    row("H_SCM_WRITE_METADATA", 0x3e8, 5, 1),
    row("H_SCM_BIND_MEM", 0x3ec, 6, 2),
    row("H_SCM_UNBIND_MEM", 0x3f0, 5, 2),
    unusable("H_SCM_QUERY_BLOCK_MEM_BINDING", 0x3f4),
    unusable("H_SCM_QUERY_LOGICAL_MEM_BINDING", 0x3f8),
    unusable("H_SCM_MEM_QUERY", 0x3fc),
    unusable("H_SCM_BLOCK_CLEAR", 0x400),
    row("H_SVM_PAGE_IN", 0xef00, 4, 1),
    row("H_SVM_PAGE_OUT", 0xef04, 4, 1),
    row("H_SVM_INIT_START", 0xef08, 1, 1),
    row("H_SVM_INIT_DONE", 0xef0c, 1, 1),
    row("H_RTAS", 0xf000, 2, 2),
    row("H_GET_24X7_CATALOG_PAGE", 0xf078, 4, 1),
    row("H_GET_24X7_DATA", 0xf07c, 5, 1),
    row("H_GET_PERF_COUNTER_INFO", 0xf080, 3, 1),
    row("H_SET_PARTITION_TABLE", 0xf800, 2, 1),
    row("H_ENTER_NESTED", 0xf804, 3, 1),
    row("H_TLB_INVALIDATE", 0xf808, 4, 1),
    row("H_COPY_TOFROM_GUEST", 0xf80c, 7, 1),
];

/// The window of a hypercall; `None` for one that is unknown or unusable.
#[must_use]
pub fn window(number: u64) -> Option<Window> {
    let index = HCALLS.binary_search_by_key(&number, |row| row.number).ok()?;
    HCALLS[index].window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_its_rows() {
        assert!(HCALLS.windows(2).all(|w| w[0].number < w[1].number));
        assert_eq!(HCALLS.iter().filter(|row| row.window.is_some()).count(), 100);
        assert_eq!(HCALLS.len(), 157);
        let registers = |w: Window| (1..=10).contains(&w.inputs) && (1..=10).contains(&w.outputs);
        assert!(HCALLS.iter().filter_map(|row| row.window).all(registers));
    }

    #[test]
    fn some_rows() {
        assert_eq!(window(0x4), Some(Window { inputs: 6, outputs: 3 }));
        assert_eq!(window(0x54), Some(Window { inputs: 2, outputs: 4 }));
        assert_eq!(window(0xf000), Some(Window { inputs: 2, outputs: 2 }));
        assert_eq!(window(0x30), None);
        assert_eq!(window(0xef10), None);
    }
}
