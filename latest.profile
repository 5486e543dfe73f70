row	25
item	calls	ms	share_pct	gflop_s	gb_s	floor_ms
aopt_k_tapgemm<true>	278	637.695	60.6	-	-	-
aopt_k_wino_input<true, 2, 6>	152	158.777	15.1	-	-	-
aopt_k_wino_output<false, 6>	144	107.260	10.2	-	-	-
aopt_k_tapgemm<false>	30	48.442	4.6	-	-	-
aopt_k_upsample4_output<2>	16	26.696	2.5	-	-	-
aopt_k_wino_output<true, 6>	8	17.999	1.7	-	-	-
copy	366	13.404	1.3	-	-	-
aopt_k_upsample4_input	25	12.860	1.2	-	-	-
aopt_k_upsample4_output<1>	8	10.992	1.0	-	-	-
aopt_k_head	8	3.273	0.3	-	-	-
aopt_k_wino_input<true, 2, 4>	20	2.553	0.2	-	-	-
aopt_k_wino_output<false, 4>	22	2.280	0.2	-	-	-
aopt_k_upsample_output<1>	8	1.765	0.2	-	-	-
nvjet_sm90_hss_256x128_64x4_1x2_h_bz_coopA_TNT	31	1.582	0.2	-	-	-
nvjet_sm90_hsh_256x128_64x4_2x4_h_bz_coopA_NNT	31	1.453	0.1	-	-	-
aopt_k_softmax_half	31	1.171	0.1	-	-	-
aopt_k_upsample_input	9	0.622	0.1	-	-	-
aopt_k_add_norm	2	0.200	0.0	-	-	-
aopt_k_norm<false>	2	0.181	0.0	-	-	-
memset	34	0.103	0.0	-	-	-
aopt_k_point_in	2	0.083	0.0	-	-	-
aopt_k_wino_input<false, 1, 4>	2	0.033	0.0	-	-	-
(gaps)	0	3.357	0.3	-	-	-
# kernels 1049.422 ms, together 1049.422 ms; with gaps of 3.357 ms 99.98 % of the judge's 1052.983 ms
# whole decode 1052.983 ms, 2.011e+06 GFLOP, 1909943.7 GFLOP/s; this machine: 882936.8 GFLOP/s, 4167.3 GB/s; roofline 2277.782 ms, 0.5x away
