//! The table: rows of s390-ultravisor §11 with the length of their lists, and rows of §1.5, §1.7, §5.3 and §6.

/// A row.
pub(crate) struct Row {
    /// Family and name.
    pub(crate) name: &'static str,
    /// Items of its list; 1 without a list.
    pub(crate) items: usize,
    /// Whether it is a row of §11.
    pub(crate) asserted: bool,
}

impl Row {
    /// Whether a test is this row's.
    pub(crate) fn owns(&self, test: &str) -> bool {
        test.strip_prefix(self.name).is_some_and(|item| item.is_empty() || item.starts_with("::"))
    }
}

const fn row(name: &'static str) -> Row {
    list(name, 1)
}

const fn list(name: &'static str, items: usize) -> Row {
    Row { name, items, asserted: true }
}

const fn other(name: &'static str, items: usize) -> Row {
    Row { name, items, asserted: false }
}

/// All rows.
pub(crate) const TABLE: &[Row] = &[
    // 11.1 uv-host: 59 rows, 153 with their lists.
    row("uv_host::r01_i3"),
    list("uv_host::r02_privileged", 17),
    row("uv_host::r03_invalid_bogus"),
    row("uv_host::r04_invalid_share"),
    row("uv_host::r05_invalid_unshare"),
    row("uv_host::r06_invalid_attest"),
    list("uv_host::r07_uninitialized", 16),
    row("uv_host::r08_query_length"),
    row("uv_host::r09_query_insf_length"),
    row("uv_host::r10_successful_query"),
    list("uv_host::r11_query_calls", 17),
    row("uv_host::r12_init_hdr_length"),
    row("uv_host::r13_init_storage_length"),
    row("uv_host::r14_init_origin_invalid"),
    row("uv_host::r15_init_origin_len"),
    row("uv_host::r16_init_below_2g"),
    row("uv_host::r17_init_too_many_cpus"),
    row("uv_host::r18_init_success"),
    row("uv_host::r19_init_double"),
    list("uv_host::r20_access_non_crossing", 17),
    list("uv_host::r21_access_crossing", 17),
    row("uv_host::r22_cgc_hdr_length"),
    row("uv_host::r23_cgc_mso"),
    row("uv_host::r24_cgc_mso_msl"),
    row("uv_host::r25_cgc_asce_p_off"),
    row("uv_host::r26_cgc_asce_bit_58"),
    row("uv_host::r27_cgc_base_beyond_memory"),
    row("uv_host::r28_cgc_base_in_lowcore"),
    row("uv_host::r29_cgc_sca_0"),
    row("uv_host::r30_cgc_sca_inaccessible"),
    row("uv_host::r31_cgc_success"),
    row("uv_host::r32_cgc_base_protection"),
    row("uv_host::r33_cgc_variable_protection"),
    row("uv_host::r34_cgc_reuse_uvcb"),
    row("uv_host::r35_cgc_reuse_asce"),
    row("uv_host::r36_csc_hdr_length"),
    row("uv_host::r37_csc_bad_guest_handle"),
    row("uv_host::r38_csc_cpu_number"),
    row("uv_host::r39_csc_storage_inaccessible"),
    row("uv_host::r40_csc_storage_lowcore"),
    row("uv_host::r41_csc_state_inaccessible"),
    row("uv_host::r42_csc_success"),
    row("uv_host::r43_csc_storage_protection"),
    row("uv_host::r44_csc_already_defined"),
    row("uv_host::r45_sscp_hdr_length"),
    row("uv_host::r46_sscp_bad_handle"),
    row("uv_host::r47_sscp_header_access"),
    row("uv_host::r48_sscp_header_crossing"),
    row("uv_host::r49_dcpu_hdr_length"),
    row("uv_host::r50_dcpu_bad_handle"),
    row("uv_host::r51_dcpu_success"),
    row("uv_host::r52a_dsc_hdr_length"),
    row("uv_host::r52b_dsc_bad_handle"),
    row("uv_host::r52c_dsc_success"),
    row("uv_host::r53_load_normal_init_storage"),
    row("uv_host::r54a_load_normal_conf_base"),
    row("uv_host::r54b_load_normal_conf_variable"),
    row("uv_host::r54c_load_normal_cpu"),
    list("uv_host::r55_load_normal_uninitialized", 16),
    // 11.2 uv-guest: 30 with their lists.
    row("uv_guest::r01_share_bits"),
    list("uv_guest::r02_privileged", 4),
    list("uv_guest::r03_invalid", 18),
    row("uv_guest::r04_query_length"),
    row("uv_guest::r05_query_indicated"),
    row("uv_guest::r06_share_length"),
    row("uv_guest::r07_share"),
    row("uv_guest::r08_share_invalid_memory"),
    row("uv_guest::r09_unshare_length"),
    row("uv_guest::r10_unshare"),
    // 11.3 pv-diags: 10.
    row("pv_diags::r01_0x500_exit"),
    row("pv_diags::r02_0x500_registers"),
    row("pv_diags::r03_0x500_operand_exception"),
    row("pv_diags::r04_0x500_specification_exception"),
    row("pv_diags::r05_0x288_exit"),
    row("pv_diags::r06_0x288_registers"),
    row("pv_diags::r07_0x288_specification_exception"),
    row("pv_diags::r08_0x44"),
    row("pv_diags::r09_0x9c"),
    row("pv_diags::r10_0x9c_register"),
    // 11.4 pv-ipl: 11 for each subcode, after the exit that they start from.
    list("pv_ipl::r00_exit", 2),
    list("pv_ipl::r01_nothing_done", 2),
    list("pv_ipl::r02_set_state_stopped", 2),
    list("pv_ipl::r03_stopped_only", 2),
    list("pv_ipl::r04_unshare_all", 2),
    list("pv_ipl::r05_unshared_only", 2),
    list("pv_ipl::r06_prepare_reset", 2),
    list("pv_ipl::r07_prepared_only", 2),
    list("pv_ipl::r08_cpu_reset", 2),
    list("pv_ipl::r09_still_stopped", 2),
    list("pv_ipl::r10_operating_load", 2),
    list("pv_ipl::r11_runs", 2),
    // 11.5 pv-icptcode: what the 13 report calls are made of, and every bit of both handles.
    list("pv_icptcode::r01_prefix_0x0_unshared", 2),
    list("pv_icptcode::r02_prefix_0x0_shared", 2),
    row("pv_icptcode::r03_spx_notification"),
    list("pv_icptcode::r04_prefix_0x8000_unshared", 2),
    list("pv_icptcode::r05_prefix_0x8000_shared", 2),
    row("pv_icptcode::r06_re_entry"),
    row("pv_icptcode::r07_asce_copy"),
    row("pv_icptcode::r08_asce_original"),
    list("pv_icptcode::r09_conf_handle_bit", 64),
    list("pv_icptcode::r10_cpu_handle_bit", 64),
    row("pv_icptcode::r11_foreign_cpu_handle"),
    row("pv_icptcode::r12_foreign_conf_handle"),
    row("pv_icptcode::r13_already_running"),
    row("pv_icptcode::r14_timer_later"),
    row("pv_icptcode::r15_timer_earlier"),
    // 11.6 pv-attest: 17.
    row("pv_attest::r01_version_bit"),
    list("pv_attest::r02_block_length", 2),
    row("pv_attest::r03_0x101_token"),
    row("pv_attest::r04_0x102_user_data"),
    row("pv_attest::r05_0x103_request_access"),
    row("pv_attest::r06_0x106_version"),
    list("pv_attest::r07_0x107_length", 2),
    row("pv_attest::r08_0x108_no_slot"),
    list("pv_attest::r09_0x109_encrypted_size", 2),
    row("pv_attest::r10_0x10a_flag"),
    row("pv_attest::r11_0x10b_algorithm"),
    row("pv_attest::r12_0x10c_open"),
    row("pv_attest::r13_0x10d_measurement_size"),
    row("pv_attest::r14_0x10e_additional_size"),
    // 11.7 large frames.
    list("large_frame::r01_outside", 3),
    list("large_frame::r02_incomplete", 2),
    row("large_frame::r03_region_mapping"),
    list("large_frame::r04_order", 2),
    row("large_frame::r05_other_address"),
    row("large_frame::r06_all_fine"),
    row("large_frame::r07_export_of_one_page"),
    row("large_frame::r08_entry_after_export"),
    list("large_frame::r09_runs_again", 2),
    // 11.8 diag308 of an ordinary guest.
    row("diag308::r01_problem_state"),
    list("diag308::r02_reset", 2),
    list("diag308::r03_odd_register", 2),
    list("diag308::r04_unaligned", 2),
    list("diag308::r05_unknown_subcode", 4),
    row("diag308::r06_subcode_2"),
    // §1.2: codes that all commands share and that no row above asserts.
    other("s102_common::r0007_no_resume", 1),
    other("s102_common::r0030_home_real_space", 1),
    other("s102_common::r0031_translation", 1),
    other("s102_common::r0032_invalid_absolute", 1),
    // §1.5: lengths of the query, for each generation and role.
    other("s105_query::too_short", 6),
    other("s105_query::part", 6),
    other("s105_query::whole", 6),
    other("s105_query::longer", 6),
    // §1.7: codes that no row above asserts.
    other("s107_conf::create_0x8000_flag", 1),
    other("s107_conf::destroy_fast_ap", 1),
    other("s107_conf::create_sca_one_page", 1),
    other("s107_conf::destroy_with_cpu", 1),
    other("s107_conf::reset_calls_bad_handle", 7),
    other("s107_image::header", 11),
    other("s107_image::unpack_not_mapped", 2),
    other("s107_image::unpack_secure", 1),
    other("s107_image::verify", 4),
    other("s107_pages::import_already_secure", 1),
    other("s107_pages::import_not_mapped", 1),
    other("s107_pages::import_swapped", 1),
    other("s107_pages::import_changed", 1),
    other("s107_pages::import_replayed", 1),
    other("s107_pages::import_of_another_guest", 1),
    other("s107_pages::destroy_not_secure", 3),
    other("s107_pages::pin_private", 1),
    other("s107_pages::init_origin", 1),
    // §5.3 row 1: for every privileged instruction of a protected guest.
    other("s503_guest::problem_state", 21),
    // §6.2: interceptions that no row above asserts.
    other("s602_interception::external_loop", 2),
    other("s602_interception::service_call_complete", 1),
    other("s602_interception::call_to_nobody", 1),
    other("s602_interception::call_to_waiting", 1),
    other("s602_interception::call_to_other", 1),
    // §6.5: what an entry is refused for, beyond the rows above.
    other("s605_entry::creation", 4),
];
